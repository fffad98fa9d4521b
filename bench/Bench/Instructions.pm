# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What a guest's drivers execute for an I/O, as bench/instructions/run counts: pvkit's and Xen's beside virtio's in the
# same guest, and then beside each other. A count, so less is better and one run is enough.
package Bench::Instructions;
use strict;
use warnings;

use JSON::PP;

my $RESULT = 'build/instructions.json';

sub rows {
	return ({ name => 'instructions', title => 'instructions an I/O, in guests of the nested lab', measure => \&measure });
}

sub count {
	my ($row) = @_;
	my $count = $row->{own} + $row->{transport};
	return { median => $count, min => $count, max => $count, runs => [$count] };
}

sub line {
	my ($ours, $peer) = @_;
	return {
		title => "$ours->{load}, $ours->{driver}",
		metric => 'instructions',
		ours => count($ours),
		peer_label => $peer->{driver},
		peer => count($peer),
		ratio => count($ours)->{median} / count($peer)->{median},
	};
}

sub lines {
	my ($rows) = @_;
	my (%row, @loads, @lines);
	for my $row (@$rows) {
		my $of = $row{ $row->{load} } //= {};
		push @loads, $row->{load} unless %$of;
		$of->{ $row->{guest} }{ $row->{driver} =~ /^virtio/ ? 'virtio' : 'own' } = $row;
	}
	for my $of (@row{@loads}) {
		my ($pvkit, $xen) = @$of{qw(pvkit xen)};
		push @lines, line($pvkit->{own}, $pvkit->{virtio}), line($xen->{own}, $xen->{virtio}), line($pvkit->{own}, $xen->{own});
	}
	return @lines;
}

sub measure {
	my ($host) = @_;
	my $log = "$host->{scratch}/instructions.log";
	unlink $RESULT;
	system("bench/instructions/run >$log 2>&1") == 0 or die $host->last_words($log) . "\n";
	open(my $in, '<', $RESULT) or die "$RESULT: $!\n";
	my @lines = lines(decode_json(do { local $/; <$in> })->{rows});
	$lines[-1]{commands} = ['bench/instructions/run'];
	$lines[-1]{notes} = ['the driver and its ring, less is better; docs/performance.md has the columns of the whole table'];
	return @lines;
}

1;
