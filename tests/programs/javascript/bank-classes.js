class Account {
  #balance = 0;
  static #count = 0;
  constructor(owner) { this.owner = owner; Account.#count++; }
  deposit(amount) { if (amount <= 0) throw new RangeError("amount"); this.#balance += amount; return this; }
  get balance() { return this.#balance; }
  static get count() { return Account.#count; }
}
class Savings extends Account {
  constructor(owner, rate) { super(owner); this.rate = rate; }
  accrue() { return this.deposit(this.balance * this.rate); }
}
const account = new Savings("Ann", 0.1).deposit(100).accrue();
console.log(account.owner, account.balance, Account.count, account instanceof Account);
try { account.deposit(-1); } catch (error) { console.log(error.name, error.message); }
