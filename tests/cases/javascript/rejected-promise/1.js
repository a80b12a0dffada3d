await Promise.reject(new TypeError("no"));
