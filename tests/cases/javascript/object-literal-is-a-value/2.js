{ let inner = 1; console.log(inner); }
