#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-top on pages made by hand: good ones, those of the dead, and hostile ones.
set -u
top=build/pvkit-top
[ -x $top ] || { echo "1..0 # SKIP $top is not built"; exit 77; }
dir=$(mktemp -d)
export PVKIT_STATS_DIR=$dir
sleep 300 & living=$!
children=$living
trap 'kill $children 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

count=0
ok() { # STATUS NAME
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; fi
}

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

# json FILTER: the output as decoded by somebody else, through a Perl expression on $j.
json() {
	$top --json --once | perl -MJSON::PP -0777 -e 'my $j = decode_json(<STDIN>); print do { '"$1"' }'
}

[ "$($top --json --once)" = '{"daemons":[]}' ]
ok $? "an empty directory is valid JSON"

make_page "$dir/pvkit-blkd.$living" $living
[ "$(json 'join " ", map { ($_->{program}, $_->{pid} == '$living', scalar @{$_->{queues}}) } @{$j->{daemons}}')" = "pvkit-blkd 1 2" ]
ok $? "a page is found"
[ "$(json 'my $q = $j->{daemons}[0]{queues}[1]; join " ", $q->{requests}{read}, map { $q->{$_} } qw(bytes_out errors kicks interrupts interrupts_suppressed polls_hit polls_miss sleeps cpu_ns)')" \
	= "1000 4096000 0 5 6 7 3 1 2 1000000" ]
ok $? "counters have the layout of abi/stats.h"
[ "$(json 'my $q = $j->{daemons}[0]{queues}[1]; join " ", "@{$q->{latency}[0]}", $q->{batch}[2], $q->{latency_p50_ns}')" \
	= "8192 1000 250 9216" ]
ok $? "histograms have the layout of abi/stats.h"

$top --once --interval=0.1 | grep -qE '^  1 +0 '
ok $? "the table shows the used queue"
! $top --once --interval=0.1 | grep -q $'\033'
ok $? "no escape sequence where no terminal is"

# A page that moves: the rates come from the difference.
make_page "$dir/pvkit-blkd.$living.new" $living reads=101000
rates=$( (sleep 0.2; mv "$dir/pvkit-blkd.$living.new" "$dir/pvkit-blkd.$living") &
	timeout 5 $top --json --interval=0.5 | sed -n '2{p;q}' |
	perl -MJSON::PP -e 'my $r = decode_json(<STDIN>)->{daemons}[0]{queues}[1]{rates};
		print $r->{requests} > 150000 && $r->{requests} < 250000 ? "good" : "bad $r->{requests}",
			" $r->{batch}"' )
[ "$rates" = "good 4" ]
ok $? "rates are taken between readings ($rates)"

# What is no page of a living daemon is passed over.
(exit 0) & dead=$!
wait $dead
make_page "$dir/pvkit-blkd.$dead" $dead
make_page "$dir/magic.1" 1 magic=1
make_page "$dir/version.1" 1 version=2
make_page "$dir/size.1" 1 size=1336
make_page "$dir/none.1" 1 queues=0
make_page "$dir/many.1" 1 queues=4294967295
make_page "$dir/short.1" 1 cut=2000
make_page "$dir/header.1" 1 cut=100
make_page "$dir/other.1" 1 pid=2
: >"$dir/empty.1"
mkfifo "$dir/fifo.1"
mkdir "$dir/folder.1"
ln -s "$dir/pvkit-blkd.$living" "$dir/link.1"
ln -s /dev/zero "$dir/zero.1"
[ "$(timeout 5 $top --json --once | perl -MJSON::PP -0777 -e 'print scalar @{decode_json(<STDIN>)->{daemons}}')" = 1 ]
ok $? "dead pids and hostile files are passed over"

# Texts of a page reach neither the terminal nor the JSON as they are.
make_page "$dir/pvkit-blkd.$living" $living object=$'a"\\b\033[2J\xff\xc3\xa4'
[ "$(json 'join ",", map { ord } split //, $j->{daemons}[0]{object}')" = "97,34,92,98,27,91,50,74,65533,228" ]
ok $? "a hostile object name is valid JSON"
! $top --once --interval=0.1 | grep -q $'\033'
ok $? "a hostile object name does not reach the terminal"

# Pages cut short and made whole again while somebody looks.
make_page "$dir/whole" $living
perl -e 'my ($whole, $page, $end) = (@ARGV, time + 2);
	open(my $in, "<", $whole); my $bytes = do { local $/; <$in> };
	open(my $out, "+<", $page);
	while (time < $end) { truncate($out, int(rand(3000))); seek($out, 0, 0); syswrite($out, $bytes) }' \
	"$dir/whole" "$dir/pvkit-blkd.$living" & cutter=$!
children="$children $cutter"
failed=0
while kill -0 $cutter 2>/dev/null; do
	timeout 5 $top --json --once >/dev/null || failed=1
done
ok $failed "a page cut short at any time costs nothing"

line=$($top --pid $dead 2>&1)
[ $? -eq 1 ] && [ "$(echo "$line" | wc -l)" = 1 ] && [[ $line == *"process $dead has no statistics page in $dir"* ]]
ok $? "--pid of a process without a page is one line"
$top --json --once --pid $living >/dev/null
ok $? "--pid of a daemon"
line=$($top --interval 0 2>&1)
[ $? -eq 2 ] && [[ $line == *"--interval: '0' is out of range"* ]]
ok $? "a bad interval is refused"
echo "1..$count"
