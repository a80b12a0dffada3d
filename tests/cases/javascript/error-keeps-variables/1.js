const before = 1;
missing();
const after = 2;
