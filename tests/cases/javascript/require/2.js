path.basename("/x/y.txt")
