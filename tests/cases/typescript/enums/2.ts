Color.Red
