#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-top on pages made by hand: good ones, those of the dead, and hostile ones.
set -u
. tests/lib.sh
start

top=$BUILD/pvkit-top
pages=$PVKIT_STATS_DIR
spawn daemon sleep 600
living=${pid_of[daemon]}

# make_page FILE PID [KEY=VALUE]...: a page of two queues; queue 1 has done as much as reads= says.
make_page() {
	perl -e '
		my ($file, $pid, %o) = (shift, shift, map { split /=/, $_, 2 } @ARGV);
		sub queue {
			my ($index, $reads) = @_;
			my $queue = pack("LLQ", $index, 0, 1) . pack("Q8", $reads, (0) x 7);
			$queue .= pack("Q12", 0, $reads * 4096, 0, 0, 0, 5, 6, 7, 3, 1, 2, 1000000);
			$queue .= pack("Q12", 0, 0, $reads / 4, (0) x 9);
			my @latency = (0) x 128;
			$latency[20] = $reads; # 8192 ns and up
			return $queue . pack("Q128", @latency) . pack("Q6", (0) x 6);
		}
		my $header = pack("QLLLLQQa16a64x8", $o{magic} // 0x5354565050544154,
			$o{version} // 1, 2, $o{pid} // $pid, $o{queues} // 2,
			$o{size} // 1344, 12345, "pvkit-blkd", $o{object} // "a.img");
		open(my $out, ">", $file) or die $!;
		print $out substr($header . queue(0, 0) . queue(1, $o{reads} // 1000), 0,
			$o{cut} // 1 << 20);
		close($out) or die $!;
	' "$@"
}

# json EXPRESSION: of Perl on $j, which is the output as a decoder that is not ours reads it.
json() {
	timeout 10 "$top" --json --once |
		perl -MJSON::PP -0777 -e 'my $j = decode_json(<STDIN>); print do { '"$1"' }'
}

table() { timeout 10 "$top" --once --interval=0.1; }

no_escapes() {
	table >"$scratch/table"
	! grep -q $'\033' "$scratch/table"
}

ok 'an empty directory is valid JSON' same JSON "$("$top" --json --once)" '{"daemons":[]}'

make_page "$pages/pvkit-blkd.$living" "$living"
ok 'a page is found' same 'what was found' \
	"$(json 'join " ", map { $_->{program}, $_->{pid}, scalar @{$_->{queues}} } @{$j->{daemons}}')" \
	"pvkit-blkd $living 2"
ok 'counters have the layout of abi/stats.h' same 'queue 1' \
	"$(json 'my $q = $j->{daemons}[0]{queues}[1]; join " ", $q->{requests}{read}, map { $q->{$_} }
		qw(bytes_out errors kicks interrupts interrupts_suppressed polls_hit polls_miss sleeps cpu_ns)')" \
	'1000 4096000 0 5 6 7 3 1 2 1000000'
ok 'histograms have the layout of abi/stats.h' same 'queue 1' \
	"$(json 'my $q = $j->{daemons}[0]{queues}[1];
		join " ", @{$q->{latency}[0]}, $q->{batch}[2], $q->{latency_p50_ns}')" '8192 1000 250 9216'
table >"$scratch/table"
ok 'the table shows the daemon' says "$scratch/table" "^pvkit-blkd $living  a.img"
ok 'the table shows the queue' says "$scratch/table" '^  1 +0 '
ok 'no escape sequence where no terminal is' no_escapes

# A page that moves: the rates come from the difference.
make_page "$pages/pvkit-blkd.$living.new" "$living" reads=101000
rates=$( (sleep 0.5 && mv "$pages/pvkit-blkd.$living.new" "$pages/pvkit-blkd.$living") &
	timeout 10 "$top" --json --interval=2 | sed -n '2{p;q}' |
	perl -MJSON::PP -e 'my $r = decode_json(<STDIN>)->{daemons}[0]{queues}[1]{rates};
		printf "%.0f %s", $r->{requests} * $r->{seconds}, $r->{batch}')
ok 'rates are taken between readings' same 'requests and mean batch' "$rates" '100000 4'

# What is no page of a living daemon is passed over.
(exit 0) &
dead=$!
wait $dead
make_page "$pages/pvkit-blkd.$dead" $dead
make_page "$pages/magic.$living" "$living" magic=1
make_page "$pages/version.$living" "$living" version=2
make_page "$pages/size.$living" "$living" size=1336
make_page "$pages/none.$living" "$living" queues=0
make_page "$pages/many.$living" "$living" queues=4294967295
make_page "$pages/short.$living" "$living" cut=2000
make_page "$pages/header.$living" "$living" cut=100
make_page "$pages/other.$living" "$living" pid=2
: >"$pages/empty.$living"
mkfifo "$pages/fifo.$living"
mkdir "$pages/folder.$living"
ln -s "$pages/pvkit-blkd.$living" "$pages/link.$living"
ln -s /dev/zero "$pages/zero.$living"
ok 'dead pids and hostile files are passed over' same 'the number of daemons' \
	"$(json 'scalar @{$j->{daemons}}')" 1

# Texts of a page reach neither the terminal nor the JSON as they are.
make_page "$pages/pvkit-blkd.$living" "$living" object=$'a"\\b\033[2J\xff\xc3\xa4'
ok 'a hostile name is valid JSON' same 'the name in code points' \
	"$(json 'join ",", map { ord } split //, $j->{daemons}[0]{object}')" \
	'97,34,92,98,27,91,50,74,65533,228'
ok 'a hostile name does not reach the terminal' no_escapes

# Pages cut short and made whole again while somebody looks.
make_page "$scratch/whole" "$living"
spawn cutter perl -e 'my ($whole, $page) = @ARGV;
	open(my $in, "<", $whole); my $bytes = do { local $/; <$in> };
	open(my $out, "+<", $page);
	while (1) { truncate($out, int(rand(3000))); seek($out, 0, 0); syswrite($out, $bytes) }' \
	"$scratch/whole" "$pages/pvkit-blkd.$living"
look_often() {
	local i
	for i in {1..100}; do
		timeout 10 "$top" --json --once >/dev/null || return 1
	done
}
ok 'a page that is cut short at any time costs nothing' look_often
stop cutter

ok '--pid of a process without a page' status_is 1 "$top" --pid $dead
"$top" --pid $dead 2>"$scratch/said.pid"
ok 'says so in one line' same 'what is said' "$(cat "$scratch/said.pid")" \
	"pvkit-top: --pid: process $dead has no statistics page in $pages; pvkit-top without --pid shows who has"
make_page "$pages/pvkit-blkd.$living" "$living"
ok '--pid of a daemon' status_is 0 "$top" --json --once --pid "$living"
exits=2 ok 'an interval of nothing is refused' refuses "'0' is out of range, expected 0.1..3600" "$top" --interval 0
exits=2 ok 'an interval that is no number is refused' refuses "'abc' is no number of seconds" "$top" --interval abc
finished
