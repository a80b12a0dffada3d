const again: User = { ...user, age: 3 };
again.age
