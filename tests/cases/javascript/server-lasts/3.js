server.close();
server.listening
