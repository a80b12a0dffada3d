class Temperature {
  static readonly zero = -273.15;
  declare unit: string;
  #celsius: number;
  constructor(celsius: number) { this.#celsius = celsius; }
  get fahrenheit(): number { return this.#celsius * 1.8 + 32; }
  set fahrenheit(value: number) { this.#celsius = (value - 32) / 1.8; }
  static { console.log("class is ready"); }
}
const t = new Temperature(100);
t.fahrenheit = 32;
console.log(Math.round(t.fahrenheit), "unit" in t, Temperature.zero);
