function logged(target: unknown) {}
@logged
class A {}
