typeof a
