# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-blkd against qemu-storage-daemon on the same file, under the same load.
package Bench::Block;
use strict;
use warnings;

use Bench::Load;

my $MIB = 1 << 20;

# A load: a name for its row, words for its title, its arguments.
our %loads = (
	qd1 => ['4k read, depth 1', qw(--depth=1)],
	qd32 => ['4k read, depth 32', qw(--depth=32)],
	write => ['4k write, depth 32', qw(--depth=32 --reads=0)],
	large => ['128k read, depth 8', qw(--depth=8 --block-size=128K --segments=32)],
	sleep => ['4k read, depth 32, front-end sleeps', qw(--depth=32 --wait=sleep)],
	sleep1 => ['4k read, depth 1, front-end sleeps', qw(--depth=1 --wait=sleep)],
	packed => ['4k read, depth 32, packed ring', qw(--depth=32 --ring=packed)],
);

# Stores: what a contender is started with.
our %stores = (
	null => {
		title => 'null store',
		ours => sub { ['--engine=null', '--null-size=1G'] },
		peers => { 'qsd null-co' => sub { "driver=null-co,size=$_[1],read-zeroes=off" } },
	},
	tmpfs => {
		title => 'file on tmpfs',
		folder => '/dev/shm',
		ours => sub { ["--blk-file=$_[0]"] },
		peers => engines(qw(io_uring native threads)),
	},
	cache => {
		title => 'file in the page cache',
		folder => 'build',
		warm => 1,
		ours => sub { ["--blk-file=$_[0]"] },
		peers => engines(qw(io_uring threads)),
	},
	disk => {
		title => 'file on the disk, O_DIRECT',
		folder => 'build',
		ours => sub { ["--blk-file=$_[0]", '--cache=direct'] },
		peers => engines(qw(io_uring native threads), 'direct'),
	},
);

# Row: store, load, targets by metric. The first of each store is a quick one too.
my @plan = (
	[qw(null qd32), { iops => 2.0 }],
	[qw(null qd1), {}],
	[qw(null sleep), {}],
	[qw(tmpfs qd32), { iops => 1.0 }],
	[qw(tmpfs qd1), { iops => 1.0 }],
	[qw(tmpfs write), { iops => 1.0 }],
	[qw(tmpfs large), { iops => 1.0 }],
	[qw(tmpfs sleep), { iops => 1.0 }],
	[qw(cache qd32), { iops => 1.0 }],
	[qw(cache qd1), { iops => 1.0 }],
	[qw(cache large), { iops => 1.0 }],
	[qw(cache sleep), { iops => 1.0 }],
	[qw(disk qd32), { iops => 0.95, requests_per_cpu_second => 1.0 }],
	[qw(disk qd1), { iops => 0.95, requests_per_cpu_second => 1.0 }],
	[qw(disk write), { iops => 0.95, requests_per_cpu_second => 1.0 }],
	[qw(disk large), { iops => 0.95, requests_per_cpu_second => 1.0 }],
	[qw(disk sleep), { iops => 0.95, requests_per_cpu_second => 1.0 }],
);

sub engines {
	my (@engines) = @_;
	my $direct = $engines[-1] eq 'direct' ? pop @engines : '';
	return {
		map {
			my $aio = $_;
			# native asks for O_DIRECT always
			my $cache = $direct || $aio eq 'native' ? 'on' : 'off';
			"qsd $aio" => sub { "driver=file,filename=$_[0],aio=$aio,cache.direct=$cache,locking=off" }
		} @engines
	};
}

sub rows {
	my %seen;
	my @rows = map {
		my ($store, $load, $targets) = @$_;
		{
			name => "$store-$load",
			title => "$stores{$store}{title}, $loads{$load}[0]",
			quick => !$seen{$store}++,
			targets => $targets,
			measure => sub { measure($_[0], $stores{$store}, $loads{$load}, $targets) },
		}
	} @plan;
	return (@rows,
		{ name => 'idle-blkd', title => 'idle pvkit-blkd, front-end connected', quick => 1, measure => \&idle });
}

sub blkd {
	my ($host, @options) = @_;
	my $socket = "$host->{scratch}/blkd.sock";
	my @command = ('build/pvkit-blkd', "--socket-path=$socket", @options);
	my $pid = $host->start('pvkit-blkd', $host->pinned(@command));
	$host->await_socket($pid, $socket);
	return { label => 'pvkit-blkd', socket => $socket, pid => $pid, command => "@command" };
}

sub qsd {
	my ($host, $label, $blockdev) = @_;
	(my $name = $label) =~ tr/ /-/;
	my $socket = "$host->{scratch}/$name.sock";
	my @command = ('qemu-storage-daemon', '--blockdev', "$blockdev,node-name=disk", '--object',
		'iothread,id=io', '--export',
		"vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=$socket,writable=on,iothread=io");
	my $pid = $host->start($name, $host->pinned(@command));
	$host->await_socket($pid, $socket);
	return { label => $label, socket => $socket, pid => $pid, command => "@command" };
}

# The peers that start here; an engine that this kernel or file system refuses drops out, with a note.
sub peers {
	my ($host, $store, $path, $notes) = @_;
	die "qemu-storage-daemon is not installed\n" unless $host->have('qemu-storage-daemon');
	my @peers;
	for my $label (sort keys %{ $store->{peers} }) {
		my $peer = eval { qsd($host, $label, $store->{peers}{$label}->($path, 1024 * $MIB)) };
		push @peers, $peer if $peer;
		push @$notes, "$label left out: $@" unless $peer;
	}
	die join('', @$notes) unless @peers;
	return @peers;
}

sub measure {
	my ($host, $store, $load, $targets) = @_;
	my ($path, @notes, @contenders);
	$path = $host->file($store->{folder}, $host->{quick} ? 256 : 1024) if $store->{folder};
	$host->warm($path) if $store->{warm};
	my (undef, @load) = @$load;
	my @arguments = (@load, "--runtime=$host->{seconds}", "--ramp=$host->{ramp}");

	# All stay up, idle but the one that has its run: no contender gets a warmer start than another.
	my $results;
	my $ok = eval {
		@contenders = (undef, peers($host, $store, $path, \@notes));
		$contenders[0] = blkd($host, @{ $store->{ours}->($path) });
		$results = Bench::Load::alternate($host, \@contenders,
			sub { Bench::Load::run($host, $_[0], @arguments) });
		1;
	};
	my $error = $@;
	$host->stop($_->{pid}) for grep { $_ } @contenders;
	die $error unless $ok;

	my @lines;
	for my $metric (sort keys %$targets ? sort keys %$targets : 'iops') {
		my %line = Bench::Load::compare(\@contenders, $results, $metric);
		my ($peer) = grep { $_->{label} eq $line{peer_label} } @contenders;
		push @lines, {
			%line,
			metric => $metric,
			target => $targets->{$metric},
			notes => \@notes,
			commands => [
				$contenders[0]{command}, $peer->{command},
				join(' ', Bench::Load::command($host, { socket => 'SOCKET' }, @arguments)),
			],
		};
	}
	return @lines;
}

sub idle {
	my ($host) = @_;
	my @arguments = ('--count=10000', "--linger=$host->{idle_seconds}");
	my $ours = blkd($host, '--engine=null', '--null-size=1G');
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
