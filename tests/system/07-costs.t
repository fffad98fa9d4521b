#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# bench/costs on whatever /dev/kvm there is: every row is measured and can be true, by each entrance that this KVM has.
# How they compare is for make bench: a busy machine says anything.
set -u
. tests/lib.sh
[ -w /dev/kvm ] || skip_all 'no /dev/kvm'
start

costs() { timeout $((60 * patience)) "$BUILD/bench/costs/costs" --quick --json >"$scratch/costs.json"; }

# rows ENTRANCE: the names of its rows that took some time, and less than a second.
rows() {
	perl -MJSON::PP -0777 -e 'my $j = decode_json(<STDIN>); print join " ", map { $_->{name} =~ s/^$ARGV[0]-//r }
		grep { $_->{name} =~ /^$ARGV[0]-/ && $_->{samples} > 10 && $_->{ns} > 0 && $_->{ns} < 1e9 &&
			$_->{p10} <= $_->{ns} && $_->{ns} <= $_->{p90} } @{$j->{rows}}' "$1" <"$scratch/costs.json"
}

ok 'it ends well' costs
ok "pvkit's own entrance" same 'the rows' "$(rows pvkit)" \
	'loop cpuid pic port memory hypercall notify kick spinning halted roundtrip'
if grep -q '"xen": true' "$scratch/costs.json"; then
	ok "Xen's entrance" same 'the rows' "$(rows xen)" \
		'loop cpuid pic port hypercall notify spinning halted roundtrip'
else
	ok 'only a KVM without CONFIG_KVM_XEN leaves it out' [ "${PVKIT_LAB-}" != 6.12 ]
	skip "Xen's entrance" 'this KVM has no CONFIG_KVM_XEN'
fi
ok 'an option that is none is refused' eval '! "$BUILD/bench/costs/costs" --fast 2>"$scratch/said.err" &&
	says "$scratch/said.err" "^costs: --fast: not known"'

finished
