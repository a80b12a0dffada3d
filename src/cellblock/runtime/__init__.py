"""The runtime: the directory with the languages and libraries that cells see, and how it is built."""
