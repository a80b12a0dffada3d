outer();
