enum Direction { Up = 1, Down, Left = "LEFT".length, Right }
enum Color { Red = "red", Blue = "blue" }
console.log(Direction.Up, Direction[2], Direction.Right, Color.Blue, Object.values(Color).join());
