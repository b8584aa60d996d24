/** Return a copy of an object without some of its keys, for example of the filters in an address. */
export function without<Value extends object, Key extends keyof Value>(value: Value, ...keys: Key[]): Omit<Value, Key> {
  const left: Omit<Value, Key> & Partial<Pick<Value, Key>> = { ...value };
  // The copy is new, and its keys are those of an address.
  for (const key of keys) Reflect.deleteProperty(left, key);
  return left;
}
