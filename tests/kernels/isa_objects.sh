#!/bin/sh
# isa_objects.sh OBJECT...: fails if a file compiled for AVX2, AVX-512 or AMX defines a symbol that other code could be linked to.
#
# A weak symbol (an inline function or a template that was not inlined) exists once in the program, whichever file the linker took it
# from. Taken from such a file, it would carry AVX instructions into code that runs on every machine.
[ $# -gt 0 ] || { echo "isa_objects.sh: no object files given"; exit 1; }
status=0
for object in "$@"; do
    symbols=$(nm --defined-only -C "$object") || exit 1
    bad=$(printf '%s\n' "$symbols" | awk '$2 ~ /^[WwVvu]$/ || ($2 ~ /^[A-Z]$/ && $0 !~ /avx|amx/)')
    if [ -n "$bad" ]; then
        echo "$object defines symbols that code for any machine may be linked to:"
        printf '%s\n' "$bad"
        status=1
    fi
done
[ $status -eq 0 ] && echo "$# object files hold no shared symbol"
exit $status
