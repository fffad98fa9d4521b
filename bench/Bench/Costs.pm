# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What leaving and entering a guest costs, as bench/costs tells: on this machine's own /dev/kvm, and, where
# that works by software, in the nested lab too. Each is given beside a port's exit to the shim on the same
# KVM, since the two are no measure for each other.
package Bench::Costs;
use strict;
use warnings;

use JSON::PP;
use POSIX ();

sub rows {
	return (
		{ name => 'costs', title => 'costs, /dev/kvm', quick => 1, measure => sub { measure($_[0]) } },
		{ name => 'costs-lab', title => 'costs, nested lab', quick => 1, measure => \&measure_in_lab },
	);
}

# The decoded answer; dies with what the command said last.
sub run {
	my ($host, @command) = @_;
	my $log = "$host->{scratch}/costs.log";
	my $pid = open(my $out, '-|') // die "fork: $!\n";
	if (!$pid) {
		open(STDERR, '>', $log);
		exec(@command) or POSIX::_exit(127);
	}
	my $text = do { local $/; <$out> };
	close $out or die $host->last_words($log) . "\n";
	return decode_json($text);
}

sub figures {
	my ($row) = @_;
	return { median => $row->{ns}, min => $row->{p10}, max => $row->{p90}, runs => [@$row{qw(p10 ns p90)}] };
}

# A line for each row, beside the exit of its own entrance.
sub lines {
	my ($where, @rows) = @_;
	my %exit = map { $_->{name} =~ /^(\w+)-port$/ ? ($1 => $_->{ns}) : () } @rows;
	return map {
		my ($entrance) = split /-/, $_->{name};
		{
			title => "$where, $entrance: $_->{title}",
			metric => 'ns',
			ours => figures($_),
			peer_label => 'exit to the shim',
			ratio => $_->{ns} / $exit{$entrance},
		}
	} @rows;
}

sub measure {
	my ($host, @lab) = @_;
	my @command = ('build/bench/costs/costs', '--json', $host->{quick} ? '--quick' : ());
	die "needs /dev/kvm\n" unless @lab || -w '/dev/kvm';
	unshift @command, @lab ? @lab : $host->prefix;
	my $answer = run($host, @command);
	my @lines = lines(@lab ? 'lab' : 'kvm', @{ $answer->{rows} });
	$lines[-1]{commands} = ["@command"];
	$lines[-1]{notes} = [
		'in brackets the 10th and the 90th percentile',
		$answer->{software} ? 'KVM by software' : (),
		$answer->{xen} ? () : "Xen's entrance left out: this KVM has no CONFIG_KVM_XEN",
	];
	return @lines;
}

# Where this machine's KVM is a real one, there is nothing to add.
sub measure_in_lab {
	my ($host) = @_;
	my $why = qx(bash -c '. tests/lib.sh; kvm_unusable');
	return $why ? measure($host, 'tests/lab/run', '--timeout', '300') : ();
}

1;
