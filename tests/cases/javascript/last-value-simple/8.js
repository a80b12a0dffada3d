y // a comment
