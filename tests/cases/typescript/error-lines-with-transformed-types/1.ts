enum Kind {
  A,
  B,
}

namespace Text {
  export const empty = "";
}

class Box {
  constructor(private kind: Kind) {}
  open(): void {
    throw new Error(Kind[this.kind]);
  }
}

new Box(Kind.B).open();
