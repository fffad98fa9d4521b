# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Xen's rings against virtqueues: the same daemon, store and load, and another ring in between. What a guest
# loses by the one or the other in the daemon; what its own driver costs is not in it.
#
# A back-end that attaches serves for one run, so both kinds are started for each.
package Bench::Xen;
use strict;
use warnings;

use Time::HiRes qw(sleep);

use Bench::Block;
use Bench::Load;
use Bench::Net;

my $TARGET = 0.85;

# Row: store and load, of Bench::Block.
my @disks = (
	[qw(null qd32)],
	[qw(null qd1)],
	[qw(null sleep)],
	[qw(null large)],
	[qw(tmpfs qd32)],
	[qw(tmpfs write)],
	[qw(tmpfs large)],
	[qw(cache qd32)],
);
my %quick = map { $_ => 1 } qw(xen-null-qd32 xen-tap-64);

sub rows {
	my @rows = map {
		my ($store, $load) = @$_;
		{
			name => "xen-$store-$load",
			title => "blkif, $Bench::Block::stores{$store}{title}, $Bench::Block::loads{$load}[0]",
			measure => sub { disk($_[0], $store, $load, $TARGET) },
		}
	} @disks;
	push @rows, {
		name => 'xen-grants-qd32',
		title => 'blkif without persistent grants, null store, 4k read, depth 32',
		measure => sub { disk($_[0], 'null', 'qd32', undef, '--persistent=off') },
	};
	for my $size (64, 1500) {
		push @rows, {
			name => "xen-net-$size",
			title => "netif, no link behind it, frames of $size bytes",
			measure => sub { frames($_[0], $size) },
		};
		push @rows, {
			name => "xen-tap-$size",
			title => "netif, guest to tap, frames of $size bytes",
			measure => sub { tap($_[0], $size) },
		};
	}
	$_->{quick} = $quick{ $_->{name} } for @rows;
	return @rows;
}

# One run of each kind of ring. The load listens before its back-end is there, or the other way about.
sub run_xen {
	my ($host, $contender, @arguments) = @_;
	my $socket = "$host->{scratch}/xen.sock";
	my @daemon = (@{ $contender->{daemon} }, "--attach=$socket", "--device=$contender->{device}");
	my @load = ({ %$contender, attach => $socket }, @arguments, @{ $contender->{options} || [] });
	$contender->{command} = "@daemon";
	unlink $socket;
	my $reader = Bench::Load::begin($host, @load);
	for (1 .. 500) {
		last if -S $socket;
		sleep 0.01;
	}
	my $pid = $host->start('xen-daemon', $host->pinned(@{ $contender->{inside} || [] }, @daemon));
	my $result = eval { Bench::Load::result($reader, $contender) };
	my $error = $@;
	$host->stop($pid);
	die $error unless $result;
	return $result;
}

sub run_virtio {
	my ($host, $contender, @arguments) = @_;
	my $socket = "$host->{scratch}/virtio.sock";
	my @daemon = (@{ $contender->{daemon} }, "--socket-path=$socket");
	$contender->{command} = "@daemon";
	unlink $socket;
	my $pid = $host->start('virtio-daemon', $host->pinned(@{ $contender->{inside} || [] }, @daemon));
	my $result = eval {
		$host->await_socket($pid, $socket);
		Bench::Load::run($host, { %$contender, socket => $socket, pid => $pid }, @arguments,
			@{ $contender->{options} || [] });
	};
	my $error = $@;
	$host->stop($pid);
	die $error unless $result;
	return $result;
}

sub compare {
	my ($host, $xen, $virtio, $metric, $target, $around, @arguments) = @_;
	my @contenders = ({ %$xen, run => \&run_xen }, { %$virtio, run => \&run_virtio });
	my $results = Bench::Load::alternate($host, \@contenders, sub {
		my ($contender) = @_;
		return $around->(sub { $contender->{run}->($host, $contender, @arguments) });
	});
	return {
		Bench::Load::compare(\@contenders, $results, $metric),
		target => $target,
		commands => [
			map {
				my $way = $_ == $contenders[0] ? 'attach' : 'socket';
				($_->{command}, join(' ', Bench::Load::command($host, { $way => 'SOCKET' }, @arguments,
					@{ $_->{options} || [] })))
			} @contenders
		],
	};
}

sub disk {
	my ($host, $store, $load, $target, @options) = @_;
	my ($xen, $virtio) = map { { %$_ } } { label => 'blkif', device => 'vbd/51712' }, { label => 'virtqueue' };
	my $path;
	$store = $Bench::Block::stores{$store};
	$path = $host->file($store->{folder}, $host->{quick} ? 256 : 1024) if $store->{folder};
	$host->warm($path) if $store->{warm};
	$_->{daemon} = ['build/pvkit-blkd', @{ $store->{ours}->($path) }] for $xen, $virtio;
	my (undef, @load) = @{ $Bench::Block::loads{$load} };
	# Descriptors are virtio's to choose: a segment of Xen's is a page.
	$virtio->{options} = [grep { /^--segments=/ } @load];
	$xen->{options} = \@options;
	return {
		%{ compare($host, $xen, $virtio, 'iops', $target, sub { $_[0]->() },
			grep({ !/^--segments=/ } @load), "--runtime=$host->{seconds}", "--ramp=$host->{ramp}") },
		metric => 'iops',
	};
}

sub net_contenders {
	my ($link, @inside) = @_;
	my %common = (daemon => ['build/pvkit-netd', "--link=$link"], inside => \@inside);
	return ({ %common, label => 'netif', device => 'vif/0' },
		{ %common, label => 'virtqueue', options => ['--indirect=off'] });
}

sub net_arguments {
	my ($host, $size) = @_;
	return ('--device=net-tx', "--block-size=$size", '--depth=256', "--runtime=$host->{seconds}", '--timeout=5');
}

# What the rings and the grants of frames cost, with nothing behind them: no target, for no link is like that.
sub frames {
	my ($host, $size) = @_;
	return {
		%{ compare($host, net_contenders('null'), 'iops', undef, sub { $_[0]->() },
			net_arguments($host, $size)) },
		metric => 'frames',
	};
}

# The tap is there before its daemon and after it, so that its counters can be read.
sub tap {
	my ($host, $size) = @_;
	my $namespace = $host->namespace;
	my $tap = 'pvkitx0';
	system("ip -n $namespace tuntap add $tap mode tap 2>/dev/null");
	system('ip', '-n', $namespace, 'link', 'set', $tap, 'up') == 0 or die "cannot make a tap\n";
	my $around = sub {
		my ($run) = @_;
		my $before = Bench::Net::received($namespace, $tap);
		my $result = $run->();
		$result->{delivered} = (Bench::Net::received($namespace, $tap) - $before) / $result->{seconds};
		return $result;
	};
	return {
		%{ compare($host, net_contenders("tap:$tap", 'ip', 'netns', 'exec', $namespace), 'delivered', $TARGET,
			$around, net_arguments($host, $size)) },
		metric => 'frames',
	};
}

1;
