enum Color { Red, Green = 5, Blue }
enum Level { Low = "low" }
const enum Fixed { One = 1 }
console.log(Color.Blue, Color[5], Level.Low, Fixed.One);
