#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0
# Each header of abi/ and ring/ compiles alone, twice in a row, as C and as C++, and includes nothing
# from a room to its right. Run from the repository root.

CC=${CC:-gcc} CXX=${CXX:-g++}
number=0 failed=0

check() {
	name=$1
	shift
	number=$((number + 1))
	if output=$("$@" 2>&1); then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		echo "$output" | sed 's/^/# /'
		failed=1
	fi
}

alone() {
	printf '#include "%s"\n#include "%s"\n' "$1" "$1"
}

as_c() {
	alone "$1" | "$CC" -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -I. \
		-fsyntax-only -x c -
}

as_freestanding_c() {
	alone "$1" | "$CC" -std=gnu11 -ffreestanding -Wall -Wextra -Wno-unused-parameter -Werror \
		-I. -fsyntax-only -x c -
}

as_cxx() {
	alone "$1" | "$CXX" -std=gnu++17 -Wall -Wextra -Wno-unused-parameter -Werror -I. \
		-fsyntax-only -x c++ -
}

# The project's headers that file $1 includes must match expression $2.
looks_left() {
	! grep -n '^#include "' "$1" | grep -Ev "\"($2)/"
}

if ! command -v "$CXX" >/dev/null; then
	echo "1..0 # SKIP no C++ compiler ($CXX): install g++"
	exit 0
fi
for header in abi/*.h ring/*.h; do
	check "$header as C" as_c "$header"
	check "$header as freestanding C" as_freestanding_c "$header"
	check "$header as C++" as_cxx "$header"
done
for file in abi/*.h; do
	check "$file includes abi/ only" looks_left "$file" 'abi'
done
for file in ring/*.[ch]; do
	check "$file includes abi/ and ring/ only" looks_left "$file" 'abi|ring'
done
echo "1..$number"
exit $failed
