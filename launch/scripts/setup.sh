#!/usr/bin/env bash
# Installs the Debian 12 packages that building Argosy needs, those that are missing only.
#
#   setup.sh            what the program needs
#   setup.sh --tests    also what the tests need
#   setup.sh --fuzz     also what the fuzzers need
#   setup.sh --check    changes nothing: tells what is missing (may be joined with the others)
#
# Exit status: 0 everything is there, 64 bad usage, 69 something is missing and this user cannot install it (or --check was
# given), 70 the installation failed.
set -euo pipefail

program_packages=(
    cmake ninja-build g++ ccache pkg-config
    openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libhwloc-dev
    libboost-program-options-dev nlohmann-json3-dev libfmt-dev
    libpcre2-dev libicu-dev libxxhash-dev zlib1g-dev
    catch2
)
test_packages=(qemu-user strace python3 iproute2)
fuzz_packages=(clang llvm libclang-rt-14-dev libomp-dev python3)

check=no
packages=("${program_packages[@]}")
for argument in "$@"; do
    case $argument in
        --tests) packages+=("${test_packages[@]}") ;;
        --fuzz) packages+=("${fuzz_packages[@]}") ;;
        --check) check=yes ;;
        *)
            echo "setup: unknown argument '$argument'. Usage: setup.sh [--tests] [--fuzz] [--check]" >&2
            exit 64
            ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: this is not a Debian system. Provide what these packages hold (cluster modules do), then run" >&2
    echo "setup: 'cmake --preset release && cmake --build --preset release' directly: ${packages[*]}" >&2
    exit 69
fi

# One call tells the state of all packages; a package that dpkg has never heard of is absent from the answer.
installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
    grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
    echo "setup: all ${#packages[@]} packages are there"
    exit 0
fi
echo "setup: missing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
install_line="apt-get install --yes --no-install-recommends ${missing[*]}"

if [ "$(id -u)" = 0 ]; then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo env DEBIAN_FRONTEND=noninteractive)  # sudo may ask for a password, on a terminal only
else
    as_root=()
fi

if [ $check = yes ] || [ ${#as_root[@]} -eq 0 ]; then
    echo "setup: as root, run: apt-get update && $install_line"
    exit 69
fi

# An index that cannot be fetched need not be the one that matters: the installation itself decides.
"${as_root[@]}" apt-get update -q || echo "setup: 'apt-get update' had errors, going on with the package lists at hand" >&2
# shellcheck disable=SC2086  # the line that is printed is the line that is run, word by word
if ! "${as_root[@]}" $install_line; then
    echo "setup: the installation failed; the lines above say why. To try by hand, as root: apt-get update && $install_line" >&2
    exit 70
fi
echo "setup: installed ${#missing[@]} packages"
