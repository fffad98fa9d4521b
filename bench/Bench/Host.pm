# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The machine: processes that are ended with us however we end, scratch files, which CPU is whose.
#
# The load generator has the first CPU that we may use and the back-end the second, so that neither takes
# time from the other. On a single CPU both share it, and the table says so.
package Bench::Host;
use strict;
use warnings;

use File::Path qw(remove_tree);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my $self;

sub new {
	my ($class, %options) = @_;
	my @cpus = allowed_cpus();
	$self = bless {
		%options,
		owner => $$,
		children => {},
		namespaces => [],
		files => [],
		scratch => "build/bench-$$",
		load_cpu => $cpus[0],
		backend_cpu => $cpus[@cpus > 1 ? 1 : 0],
		cpus => scalar @cpus,
	}, $class;
	mkdir $_ for 'build', $self->{scratch};
	$ENV{PVKIT_STATS_DIR} = "$self->{scratch}/stats";
	$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub {
		$self->{interrupted} = 1;
		die "bench/run: interrupted\n";
	};
	return $self;
}

END {
	# Children are forked from here too, and must not clean up.
	$self->clean if $self && $self->{owner} == $$;
}

sub clean {
	my ($host) = @_;
	my $status = $?;
	local $SIG{INT} = 'IGNORE';
	$host->stop($_) for keys %{ $host->{children} };
	system('ip', 'netns', 'del', $_) for @{ $host->{namespaces} };
	unlink @{ $host->{files} };
	remove_tree($host->{scratch});
	$? = $status;
}

sub allowed_cpus {
	open(my $status, '<', '/proc/self/status') or die "bench/run: /proc/self/status: $!\n";
	my ($list) = map { /^Cpus_allowed_list:\s*(\S+)/ ? $1 : () } <$status>;
	return map { /^(\d+)-(\d+)$/ ? ($1 .. $2) : $_ } split /,/, $list;
}

# Starts a command, its output to a log of ours; its standard input is a pipe that stays open.
sub start {
	my ($host, $name, @command) = @_;
	my $log = "$host->{scratch}/$name.log";
	pipe(my $reader, my $writer) or die "bench/run: pipe: $!\n";
	my $pid = fork // die "bench/run: fork: $!\n";
	if (!$pid) {
		$SIG{INT} = 'IGNORE';    # Ctrl-C is for us: we end it
		open(STDIN, '<&', $reader);
		close $writer;
		open(STDOUT, '>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(127);
	}
	close $reader;
	$host->{children}{$pid} = { name => $name, log => $log, stdin => $writer };
	return $pid;
}

# Waits for the socket; when it does not come, ends the command and dies with its own words.
sub await_socket {
	my ($host, $pid, $socket, $seconds) = @_;
	my $end = time + ($seconds // 10);
	my $child = $host->{children}{$pid};
	while (time < $end) {
		if (-S $socket) {
			sleep 0.05;    # between bind and listen
			return;
		}
		if (waitpid($pid, WNOHANG) == $pid) {
			delete $host->{children}{$pid};
			die "$child->{name} ended: " . $host->last_words($child->{log}) . "\n";
		}
		sleep 0.02;
	}
	$host->stop($pid);
	die "$child->{name} makes no socket $socket: " . $host->last_words($child->{log}) . "\n";
}

sub last_words {
	my ($host, $log) = @_;
	open(my $in, '<', $log) or return 'nothing said';
	my @lines = grep { /\S/ } <$in>;
	chomp(my $last = $lines[-1] // 'nothing said');
	return $last;
}

# qemu-storage-daemon may hang at SIGTERM, so it is not asked twice.
sub stop {
	my ($host, $pid) = @_;
	my $child = delete $host->{children}{$pid} or return;
	kill 'TERM', $pid;
	for (1 .. 150) {
		return if waitpid($pid, WNOHANG) != 0;
		sleep 0.02;
	}
	kill 'KILL', $pid;
	waitpid($pid, 0);
}

sub have {
	my ($host, $program) = @_;
	return scalar grep { -x "$_/$program" } split(/:/, $ENV{PATH}), '/usr/sbin', '/sbin';
}

# What stands before each measured program, such as "chrt -r 1" where others use the machine too.
sub prefix {
	return split ' ', $ENV{BENCH_PREFIX} // '';
}

# The command on the back-end's CPU.
sub pinned {
	my ($host, @command) = @_;
	return (prefix(), 'taskset', '-c', $host->{backend_cpu}, @command);
}

# A file of so many MiB in the folder, written out whole: a hole reads faster than data.
sub file {
	my ($host, $folder, $mib) = @_;
	my $path = "$folder/pvkit-bench-$$.img";
	return $path if grep { $_ eq $path } @{ $host->{files} };
	push @{ $host->{files} }, $path;
	system('dd', 'if=/dev/urandom', "of=$path", 'bs=1M', "count=$mib", 'conv=fsync', 'status=none') == 0
		or die "$path: cannot be written\n";
	return $path;
}

# Brings the file into the page cache.
sub warm {
	my ($host, $path) = @_;
	open(my $in, '<:raw', $path) or die "$path: $!\n";
	my $bytes;
	1 while sysread($in, $bytes, 1 << 20);
}

sub namespace {
	my ($host) = @_;
	return $host->{namespaces}[0] if @{ $host->{namespaces} };
	die "needs root, for a network namespace and taps in it\n" if $>;
	my $name = "pvkit-bench-$$";
	system('ip', 'netns', 'add', $name) == 0 or die "cannot make network namespace $name\n";
	push @{ $host->{namespaces} }, $name;
	# No router solicitations on an interface that should be quiet.
	system("ip netns exec $name sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null");
	return $name;
}

# CPU time that somebody used in a second, as a share of all CPUs: a busy machine spoils the figures.
sub busy {
	my ($host) = @_;
	my @before = cpu_times();
	sleep 1;
	my @after = cpu_times();
	my $all = 0;
	$all += $after[$_] - $before[$_] for 0 .. 7;
	my $idle = $after[3] - $before[3] + $after[4] - $before[4];
	return $all ? 1 - $idle / $all : 0;
}

sub cpu_times {
	open(my $stat, '<', '/proc/stat') or die "bench/run: /proc/stat: $!\n";
	my (undef, @times) = split ' ', scalar <$stat>;
	return @times;
}

1;
