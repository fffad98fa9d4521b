# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-netd against DPDK's testpmd, from a guest's ring to a tap.
#
# What counts is what the tap's interface has received, not what left the ring: testpmd drops frames that
# its tap does not take in time. testpmd polls one CPU all the time, so it runs only while it is measured.
package Bench::Net;
use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(sleep);

use Bench::Load;

sub rows {
	return (
		(map {
			my $size = $_;
			{
				name => "tap-$size",
				title => "guest to tap, frames of $size bytes",
				quick => 1,
				measure => sub { measure($_[0], $size) },
			}
		} 64, 1500),
		{ name => 'idle-netd', title => 'idle pvkit-netd, front-end connected', quick => 1, measure => \&idle },
	);
}

sub netd {
	my ($host) = @_;
	my $socket = "$host->{scratch}/netd.sock";
	my $namespace = $host->namespace;
	my @command = ('build/pvkit-netd', "--socket-path=$socket", '--link=tap:pvkit0');
	my $pid = $host->start('pvkit-netd', $host->pinned('ip', 'netns', 'exec', $namespace, @command));
	$host->await_socket($pid, $socket);
	system('ip', '-n', $namespace, 'link', 'set', 'pvkit0', 'up');
	return { label => 'pvkit-netd', socket => $socket, pid => $pid, interface => 'pvkit0', command => "@command" };
}

sub testpmd {
	my ($host) = @_;
	my $socket = "$host->{scratch}/testpmd.sock";
	my $namespace = $host->namespace;
	die "dpdk-testpmd is not installed (Debian: dpdk)\n" unless $host->have('dpdk-testpmd');
	unlink $socket;
	# The main lcore only waits; the other forwards, on the CPU that is the back-end's here.
	my @command = (
		'dpdk-testpmd', '-l', "$host->{load_cpu},$host->{backend_cpu}", '--main-lcore', $host->{load_cpu},
		qw(--no-huge --no-pci -m 256 --no-telemetry --iova-mode=va), "--file-prefix=pvkit-bench-$$",
		'--vdev', "net_vhost0,iface=$socket,queues=1", '--vdev', 'net_tap0,iface=dpdk0', '--',
		qw(--forward-mode=io --auto-start --nb-cores=1 --no-mlockall --total-num-mbufs=8192 --rxd=256 --txd=256));
	my $pid = $host->start('testpmd', $host->prefix, 'ip', 'netns', 'exec', $namespace, @command);
	$host->await_socket($pid, $socket, 20);
	# It listens before it forwards.
	for (1 .. 100) {
		last if interface_is_up($namespace, 'dpdk0');
		sleep 0.1;
	}
	sleep 0.3;
	return { label => 'testpmd', socket => $socket, pid => $pid, interface => 'dpdk0', command => "@command" };
}

sub interface {
	my ($namespace, $name) = @_;
	my $text = qx(ip -n $namespace -s -j link show $name 2>/dev/null);
	return eval { decode_json($text)->[0] } || {};
}

sub interface_is_up {
	my ($namespace, $name) = @_;
	return scalar grep { $_ eq 'LOWER_UP' } @{ interface($namespace, $name)->{flags} || [] };
}

sub received {
	my ($namespace, $name) = @_;
	return interface($namespace, $name)->{stats64}{rx}{packets} // die "interface $name is gone\n";
}

# Frames a second that reach the interface, over a whole run: whoever samples in the middle of it would
# have to be on time, on a machine whose CPUs are all taken.
sub rate {
	my ($host, $contender, @arguments) = @_;
	my $namespace = $host->namespace;
	my $before = received($namespace, $contender->{interface});
	my $result = Bench::Load::run($host, $contender, @arguments);
	my $after = received($namespace, $contender->{interface});
	$result->{delivered} = ($after - $before) / $result->{seconds};
	return $result;
}

sub arguments {
	my ($host, $size) = @_;
	return ('--device=net-tx', "--block-size=$size", '--depth=256', '--indirect=off',
		"--runtime=$host->{seconds}", '--timeout=5');
}

sub measure {
	my ($host, $size) = @_;
	my @arguments = arguments($host, $size);
	my @contenders = ({ label => 'pvkit-netd', start => \&netd }, { label => 'testpmd', start => \&testpmd });
	my %command;
	my $results = Bench::Load::alternate($host, \@contenders, sub {
		my $running = $_[0]{start}->($host);
		$command{ $running->{label} } = $running->{command};
		my $result = eval { rate($host, $running, @arguments) };
		my $error = $@;
		$host->stop($running->{pid});
		die $error unless $result;
		return $result;
	});
	return {
		Bench::Load::compare(\@contenders, $results, 'delivered'),
		metric => 'frames',
		target => 0.8,
		commands => [
			@command{qw(pvkit-netd testpmd)},
			join(' ', Bench::Load::command($host, { socket => 'SOCKET' }, @arguments)),
		],
	};
}

sub idle {
	my ($host) = @_;
	my @arguments = ('--device=net-tx', '--indirect=off', '--count=10000', "--linger=$host->{idle_seconds}");
	my $ours = netd($host);
	my $result = eval { Bench::Load::run($host, $ours, @arguments) };
	my $error = $@;
	$host->stop($ours->{pid});
	die $error unless $result;
	return {
		metric => 'cpu',
		ours => Bench::Load::figures($result->{backend_idle_cpu_share} * 100),
		limit => 0.5,
		commands => [$ours->{command}, join(' ', Bench::Load::command($host, $ours, @arguments))],
	};
}

1;
