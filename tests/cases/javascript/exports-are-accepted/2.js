export default function () {}
a
