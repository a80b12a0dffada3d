const view = new DataView(new ArrayBuffer(8));
view.setFloat32(0, 1.5); view.setInt16(4, -2);
console.log(view.getUint8(0), view.getInt16(4), new Float64Array([1, 2, 3]).map((x) => x / 2).join(), Uint8Array.from("abc", (c) => c.charCodeAt()).reduce((a, b) => a + b));
