# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The table for people, as it comes in, and all of it as JSON at the end.
package Bench::Table;
use strict;
use warnings;

use JSON::PP;

my $FORMAT = "%-60s %-25s %-12s %-25s %6s %8s  %s\n";

my %units = (
	iops => '',
	requests_per_cpu_second => ', IOPS/CPU-s',
	frames => '',
	cpu => '',
	ns => '',
	instructions => ', instructions',
);
my %suffixes = (cpu => ' % of a CPU', ns => ' µs');

sub new {
	my ($class, $host) = @_;
	my $busy = $host->busy;
	my $self = bless { host => $host, lines => [], skipped => 0, busy => $busy }, $class;
	$| = 1;
	print "Medians of $host->{rounds} alternated runs of $host->{seconds} s (least..most); the ratio is the ",
		"median of the rounds' ratios.\n";
	print "Load on CPU $host->{load_cpu}, back-end on CPU $host->{backend_cpu}",
		$host->{cpus} < 2 ? ": ONE CPU FOR BOTH, so the figures say little.\n" : ".\n";
	printf "Others keep this machine busy by %.0f %%: expect low figures and a wide spread.\n", $busy * 100
		if $busy > 0.1;
	print "\n";
	printf $FORMAT, 'what', 'pvkit', 'against', '', 'ratio', 'target', 'verdict';
	return $self;
}

sub short {
	my ($value) = @_;
	return sprintf('%.2fM', $value / 1e6) if $value >= 999_500;
	return sprintf('%.1fk', $value / 1e3) if $value >= 1000;
	return sprintf($value < 10 ? '%.2f' : '%.0f', $value);
}

sub microseconds {
	my ($ns) = @_;
	return sprintf($ns < 100_000 ? '%.1f' : '%.0f', $ns / 1000);
}

sub spread {
	my ($figures, $format) = @_;
	my ($median, $min, $max) = map { $format->($_) } @$figures{qw(median min max)};
	return @{ $figures->{runs} } > 1 ? "$median ($min..$max)" : $median;
}

sub verdict {
	my ($line) = @_;
	return $line->{ours}{median} < $line->{limit} ? 'met' : 'MISSED' if defined $line->{limit};
	return '' unless defined $line->{target};
	return $line->{ratio} >= $line->{target} ? 'met' : 'MISSED';
}

sub add {
	my ($self, $row, $line) = @_;
	my $title = $line->{title} // $row->{title};
	if ($line->{skipped}) {
		$self->{skipped}++;
		printf "%-60s NOT MEASURED: %s\n", $title, $line->{skipped};
	} else {
		$title .= $units{ $line->{metric} };
		$line->{verdict} = verdict($line);
		my $format = $line->{metric} eq 'ns' ? \&microseconds : \&short;
		printf $FORMAT, $title, spread($line->{ours}, $format) . ($suffixes{ $line->{metric} } // ''),
			$line->{peer_label} // '', $line->{peer} ? spread($line->{peer}, $format) : '',
			defined $line->{ratio} ? sprintf('%.2f', $line->{ratio}) : '',
			defined $line->{target} ? ">= $line->{target}"
				: defined $line->{limit} ? "< $line->{limit}" : '',
			$line->{verdict};
		print "    $_\n" for @{ $line->{commands} || [] };
		print "    ($_)\n" for map { s/\s+$//r } @{ $line->{notes} || [] };
	}
	push @{ $self->{lines} }, { name => $row->{name}, title => $title, %$line };
}

sub first_line {
	my ($path, $pattern) = @_;
	open(my $in, '<', $path) or return '';
	while (<$in>) {
		return $1 if /$pattern/;
	}
	return '';
}

sub finish {
	my ($self, $path) = @_;
	my $host = $self->{host};
	my @lines = @{ $self->{lines} };
	my $missed = grep { ($_->{verdict} // '') eq 'MISSED' } @lines;
	my $met = grep { ($_->{verdict} // '') eq 'met' } @lines;
	chomp(my $kernel = qx(uname -r));
	open(my $out, '>', $path) or die "bench/run: $path: $!\n";
	print $out JSON::PP->new->canonical->pretty->encode({
		machine => {
			kernel => $kernel,
			cpu => first_line('/proc/cpuinfo', qr/^model name\s*:\s*(.*)/),
			cpus => $host->{cpus},
			busy_before => $self->{busy},
		},
		rounds => $host->{rounds},
		seconds => $host->{seconds},
		rows => \@lines,
	});
	close $out or die "bench/run: $path: $!\n";
	print "\n$met targets met, $missed missed, $self->{skipped} rows not measured; all figures in $path\n";
}

1;
