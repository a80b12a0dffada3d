const greet = require("greeter");
import { shout } from "shouter";
console.log(greet("Ann"), shout("hey"));
