console.log("before"); Promise.reject(new Error("unhandled")); setTimeout(() => console.log("never"), 50);
