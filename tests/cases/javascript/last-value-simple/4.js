let y = 4
