Promise.reject(new TypeError("unhandled"));
1;
