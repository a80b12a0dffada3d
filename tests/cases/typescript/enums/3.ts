enum Color { Black }
Color.Black
