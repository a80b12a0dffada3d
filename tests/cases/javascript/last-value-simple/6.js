if (true) 7
