# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Runs of pvkit-load against several back-ends in turn, and what to make of their figures.
#
# A machine's speed drifts from minute to minute by more than the back-ends differ. So the runs are
# alternated, each round begins with another back-end, and a ratio is the median of the rounds' ratios:
# each compares two neighbouring runs. The medians beside it are for orientation.
package Bench::Load;
use strict;
use warnings;

use JSON::PP;

# One run; the decoded result. @arguments as given on pvkit-load's command line.
sub run {
	my ($host, $contender, @arguments) = @_;
	return result(begin($host, $contender, @arguments), $contender);
}

# The same in two steps, for a back-end that comes second.
sub begin {
	my ($host, $contender, @arguments) = @_;
	my @command = ($host->prefix, command($host, $contender, @arguments));
	open(my $out, '-|', @command) // die "build/pvkit-load: $!\n";
	return $out;
}

sub result {
	my ($out, $contender) = @_;
	my $text = do { local $/; <$out> };
	close $out or die "pvkit-load failed against $contender->{label}\n";
	return decode_json($text);
}

sub command {
	my ($host, $contender, @arguments) = @_;
	my @pid = $contender->{pid} ? ("--backend-pid=$contender->{pid}") : ();
	my $way = $contender->{attach} ? "--attach=$contender->{attach}" : "--socket=$contender->{socket}";
	return ('build/pvkit-load', $way, @arguments, "--cpus=$host->{load_cpu}",
		@pid, '--json');
}

# All rounds: calls $once->(contender) for each and returns its answers by label.
sub alternate {
	my ($host, $contenders, $once) = @_;
	my %results;
	for my $round (0 .. $host->{rounds} - 1) {
		for my $i (0 .. $#$contenders) {
			my $contender = $contenders->[($round + $i) % @$contenders];
			push @{ $results{ $contender->{label} } }, $once->($contender);
		}
	}
	return \%results;
}

sub median {
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[$#sorted / 2] if @sorted % 2;
	return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

sub figures {
	my @values = @_;
	my @sorted = sort { $a <=> $b } @values;
	return { median => median(@values), min => $sorted[0], max => $sorted[-1], runs => \@values };
}

# A line of the table: the first contender against the best of the others, by one metric.
sub compare {
	my ($contenders, $results, $metric) = @_;
	my ($ours, @peers) = @$contenders;
	my %value = map {
		my $label = $_->{label};
		$label => [map { $_->{$metric} } @{ $results->{$label} }]
	} @$contenders;
	my ($best) = sort { median(@{ $value{ $b->{label} } }) <=> median(@{ $value{ $a->{label} } }) } @peers;
	my @mine = @{ $value{ $ours->{label} } };
	my @theirs = @{ $value{ $best->{label} } };
	my @ratios = map { $theirs[$_] ? $mine[$_] / $theirs[$_] : 0 } 0 .. $#mine;
	return (
		ours => figures(@mine),
		peer => figures(@theirs),
		peer_label => $best->{label},
		all => { map { $_ => figures(@{ $value{$_} }) } keys %value },
		ratio => median(@ratios),
		ratios => \@ratios,
	);
}

1;
