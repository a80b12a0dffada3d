class Shape { constructor(public sides: number) {} }
export default { ...new Shape(4) };
