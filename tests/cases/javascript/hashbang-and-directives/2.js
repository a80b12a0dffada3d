sloppy = 010; sloppy
