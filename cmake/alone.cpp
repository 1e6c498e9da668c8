// Nothing but a main: what links with it and one library in full shows that the library needs only the floors it names.
int main() { return 0; }
