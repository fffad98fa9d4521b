// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Options: each kind, lists, refusals with their one line and exit status, and the agreement of help
 * and man page with the table. Whole command lines run in a child, whose output is read back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/option.h"

struct disk {
	const char *path;
	unsigned int bus;
	bool read_only;
	uint64_t size;
};

struct config {
	bool verbose;
	const char *socket;
	uint64_t cpus, memory;
	unsigned int engine;
	struct disk disk[2];
	unsigned int disks;
	long poll_us;
};

static const char *const buses[] = {"virtio", "pv", NULL};
static const char *const engines[] = {"io_uring", "libaio", "null", NULL};

static int take_poll(void *config, const char *value, char *reason, size_t size)
{
	if (strcmp(value, "auto")) {
		snprintf(reason, size, "'%s' is not auto", value);
		return -1;
	}
	((struct config *)config)->poll_us = -1;
	return 0;
}

#define DISK(field)   offsetof(struct disk, field)
#define CONFIG(field) offsetof(struct config, field)

static const struct option_spec disk_options[] = {
	{.name = "path",
	 .kind = OPTION_STRING,
	 .offset = DISK(path),
	 .argument = "PATH",
	 .help = "The image.",
	 .minimum = 1,
	 .required = true},
	{.name = "bus",
	 .kind = OPTION_CHOICE,
	 .offset = DISK(bus),
	 .help = "The bus.",
	 .choices = buses},
	{.name = "read-only",
	 .kind = OPTION_FLAG,
	 .offset = DISK(read_only),
	 .help = "Refuse writes."},
	{.name = "size", .kind = OPTION_SIZE, .offset = DISK(size), .help = "Its size."},
	{.name = NULL},
};

static const struct option_spec options[] = {
	{.name = "devices", .kind = OPTION_HEADING, .help = "Devices"},
	{.name = "socket",
	 .kind = OPTION_STRING,
	 .offset = CONFIG(socket),
	 .argument = "PATH",
	 .help = "Where to listen.",
	 .minimum = 1,
	 .maximum = 10,
	 .required = true},
	{.name = "disk",
	 .kind = OPTION_LIST,
	 .offset = CONFIG(disk),
	 .help = "A disk. May be repeated.",
	 .list = disk_options,
	 .list_size = sizeof(struct disk),
	 .list_max = 2,
	 .count_offset = CONFIG(disks)},
	{.name = "cpus",
	 .kind = OPTION_NUMBER,
	 .offset = CONFIG(cpus),
	 .minimum = 1,
	 .maximum = 16,
	 .help = "Processors, in a text that is long enough to be broken over two lines."},
	{.name = "memory",
	 .kind = OPTION_SIZE,
	 .offset = CONFIG(memory),
	 .help = "Memory; .dot 'quote' \\back.",
	 .minimum = 1 << 20,
	 .maximum = 1ULL << 34},
	{.name = "other", .kind = OPTION_HEADING, .help = "Other"},
	{.name = "engine",
	 .kind = OPTION_CHOICE,
	 .offset = CONFIG(engine),
	 .help = "The engine.",
	 .choices = engines},
	{.name = "poll-us",
	 .kind = OPTION_CALL,
	 .argument = "auto",
	 .help = "Polling.",
	 .call = take_poll},
	{.name = "verbose", .kind = OPTION_FLAG, .offset = CONFIG(verbose), .help = "Say more."},
	{.name = NULL},
};

static const struct program_spec program = {
	.name = "pvkit-test",
	.summary = "test the options",
	.usage = "--socket=PATH [OPTION]...\n--other [OPTION]...",
	.description = "First paragraph. Second sentence.\n\nSecond paragraph, of a text that is "
		       "long enough to be filled over more than one line of the source.\n",
	.examples = "pvkit-test --socket=a\n.hidden '--cpus=2'",
	.exit_status = "0\tSuccess.\n1\tFailure.",
	.options = options,
};

struct outcome {
	int status;
	char out[16384], err[4096];
};

static void read_all(FILE *file, char *text, size_t size)
{
	rewind(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

/* Runs @what in a child; its exit status, standard output and standard error. */
static struct outcome in_child(void (*what)(char **argv), char **argv)
{
	static struct outcome outcome;
	FILE *out = tmpfile(), *err = tmpfile();
	int status;
	pid_t pid;

	assert_non_null(out);
	assert_non_null(err);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		what(argv);
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	outcome.status = WEXITSTATUS(status);
	read_all(out, outcome.out, sizeof(outcome.out));
	read_all(err, outcome.err, sizeof(outcome.err));
	return outcome;
}

static void parse_in_child(char **argv)
{
	struct config config = {0};
	int argc = 0;

	while (argv[argc])
		argc++;
	option_parse(&program, argc, argv, &config);
}

#define ARGV(...) ((char *[]){"pvkit-test", __VA_ARGS__, NULL})
#define PARSE(config, ...)                                                                        \
	option_parse(&program, sizeof(ARGV(__VA_ARGS__)) / sizeof(char *) - 1, ARGV(__VA_ARGS__), \
		     config)

static void refused(char **argv, const char *line)
{
	struct outcome outcome = in_child(parse_in_child, argv);
	char expected[512];

	snprintf(expected, sizeof(expected), "pvkit-test: %s; see pvkit-test --help\n", line);
	assert_string_equal(outcome.err, expected);
	assert_string_equal(outcome.out, "");
	assert_int_equal(outcome.status, 2);
}

static void each_kind_is_parsed(void **state)
{
	struct config config = {.poll_us = 7};

	PARSE(&config, "--socket", "a.sock", "--cpus=0x10", "--memory", "2G", "--engine=null",
	      "--poll-us", "auto", "--verbose");
	assert_string_equal(config.socket, "a.sock");
	assert_int_equal(config.cpus, 16);
	assert_int_equal(config.memory, 2ULL << 30);
	assert_int_equal(config.engine, 2);
	assert_int_equal(config.poll_us, -1);
	assert_true(config.verbose);
	assert_int_equal(config.disks, 0);
}

static void lists_are_parsed(void **state)
{
	struct config config = {.disk[1].size = 5};

	PARSE(&config, "--socket=a", "--disk=a.img,bus=pv,read-only", "--disk",
	      "read-only=off,path=b,,c=d,bus=virtio");
	assert_int_equal(config.disks, 2);
	assert_string_equal(config.disk[0].path, "a.img");
	assert_int_equal(config.disk[0].bus, 1);
	assert_true(config.disk[0].read_only);
	assert_string_equal(config.disk[1].path, "b,c=d");
	assert_int_equal(config.disk[1].bus, 0);
	assert_false(config.disk[1].read_only);
	assert_int_equal(config.disk[1].size, 5); /* a default stays */
}

static void bad_values_are_refused(void **state)
{
	refused(ARGV("--socket=a", "--cpus", "0"), "--cpus: '0' is out of range, expected 1..16");
	refused(ARGV("--socket=a", "--cpus=17"), "--cpus: '17' is out of range, expected 1..16");
	refused(ARGV("--socket=a", "--cpus=-1"),
		"--cpus: '-1' is no number, expected decimal or 0x digits");
	refused(ARGV("--socket=a", "--cpus= 1"),
		"--cpus: ' 1' is no number, expected decimal or 0x digits");
	refused(ARGV("--socket=a", "--cpus="),
		"--cpus: '' is no number, expected decimal or 0x digits");
	refused(ARGV("--socket=a", "--cpus=18446744073709551617"),
		"--cpus: '18446744073709551617' is out of range, expected 1..16");
	refused(ARGV("--socket=a", "--cpus=18446744073709551617x"),
		"--cpus: '18446744073709551617x' is no number, expected decimal or 0x digits");
	refused(ARGV("--socket=a", "--memory=1"),
		"--memory: '1' is out of range, expected 1M..16G");
	refused(ARGV("--socket=a", "--memory=99999999T"),
		"--memory: '99999999T' is out of range, expected 1M..16G");
	refused(ARGV("--socket=a", "--memory=99999999999999999999"),
		"--memory: '99999999999999999999' is out of range, expected 1M..16G");
	refused(ARGV("--socket=a", "--disk=a,size=16777216T"),
		"--disk: size: '16777216T' is out of range, expected 0..18446744073709551615");
	refused(ARGV("--socket=a", "--memory=64MB"),
		"--memory: '64MB' is no size, expected bytes such as 512, 64K, 2G");
	refused(ARGV("--socket=a", "--engine=aio"),
		"--engine: 'aio' is unknown, expected io_uring|libaio|null");
	refused(ARGV("--socket=a", "--poll-us=3"), "--poll-us: '3' is not auto");
	refused(ARGV("--socket="), "--socket: '' is empty");
	refused(ARGV("--socket=01234567890"),
		"--socket: '01234567890' is too long, expected at most 10 characters");
	refused(ARGV("--socket=a", "--verbose=on"),
		"--verbose: takes no value, but 'on' was given");
	refused(ARGV("--socket"), "--socket: a value is missing");
}

static void bad_command_lines_are_refused(void **state)
{
	refused(ARGV("--cpus=1"), "--socket is required");
	refused(ARGV("--socket=a", "--socket=b"), "--socket: given twice");
	refused(ARGV("--socket=a", "--verbose", "--verbose"), "--verbose: given twice");
	refused(ARGV("--socket=a", "--cpu=1"), "--cpu: unknown option");
	refused(ARGV("--socket=a", "--devices=1"), "--devices: unknown option");
	refused(ARGV("--socket=a", "file"), "'file' is no option");
	refused(ARGV("--socket=a", "--"), "'--' is no option");
	refused(ARGV("--socket=a\nforged", "--cpus=1\n2"),
		"--cpus: '1?2' is no number, expected decimal or 0x digits");
}

#define DOUBLED "; a comma inside a value is written twice"

static void bad_lists_are_refused(void **state)
{
	refused(ARGV("--socket=a", "--disk=bus=pv"), "--disk: 'bus=pv' lacks path=");
	refused(ARGV("--socket=a", "--disk=a,bus=isa"),
		"--disk: bus: 'isa' is unknown, expected virtio|pv");
	refused(ARGV("--socket=a", "--disk=a,b"), "--disk: 'b' is no key of this list" DOUBLED);
	refused(ARGV("--socket=a", "--disk=a,c=1"), "--disk: 'c' is no key of this list" DOUBLED);
	refused(ARGV("--socket=a", "--disk=a,"), "--disk: '' is no key of this list" DOUBLED);
	refused(ARGV("--socket=a", "--disk=a,=1"), "--disk: '' is no key of this list" DOUBLED);
	refused(ARGV("--socket=a", "--disk="), "--disk: path: '' is empty");
	refused(ARGV("--socket=a", "--disk=a,path=b"), "--disk: path: given twice");
	refused(ARGV("--socket=a", "--disk=a,bus"), "--disk: bus: a value is missing");
	refused(ARGV("--socket=a", "--disk=a,read-only=yes"),
		"--disk: read-only: 'yes' is unknown, expected on or off");
	refused(ARGV("--socket=a", "--disk=a", "--disk=b", "--disk=c"),
		"--disk: 'c' is one too many, expected at most 2 of them");
}

static void sizes(void **state)
{
	uint64_t bytes;

	assert_int_equal(option_size("512", &bytes), 0);
	assert_int_equal(bytes, 512);
	assert_int_equal(option_size("4k", &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(option_size("3T", &bytes), 0);
	assert_int_equal(bytes, 3ULL << 40);
	assert_int_equal(option_size("16777215T", &bytes), 0);
	assert_int_equal(option_size("16777216T", &bytes), -ERANGE);
	assert_int_equal(option_size("", &bytes), -EINVAL);
	assert_int_equal(option_size("K", &bytes), -EINVAL);
	assert_int_equal(option_size("1\n", &bytes), -EINVAL);
	assert_int_equal(option_size("1 ", &bytes), -EINVAL);
}

static void seconds_are(const char *text, double expected)
{
	char reason[128];
	double seconds = -1;

	assert_int_equal(option_seconds(text, 0.5, 1e6, &seconds, reason, sizeof(reason)), 0);
	assert_true(seconds == expected);
}

static void seconds_are_not(const char *text, const char *why)
{
	char reason[128], expected[128];
	double seconds = 7;

	assert_int_equal(option_seconds(text, 0.5, 1e6, &seconds, reason, sizeof(reason)), -1);
	snprintf(expected, sizeof(expected), "'%s' is %s", text, why);
	assert_string_equal(reason, expected);
	assert_true(seconds == 7);
}

static void seconds(void **state)
{
	static const char no_number[] = "no number of seconds, expected such as 5 or 0.5";
	static const char *const bad[] = {"",    "abc",  "5s",  " 5", "nan",
					  "inf", "0x10", "1e3", "1-2"};
	unsigned int i;

	seconds_are("0.5", 0.5);
	seconds_are(".75", 0.75);
	seconds_are("1000000", 1e6);
	seconds_are_not("0.4", "out of range, expected 0.5..1000000 seconds");
	seconds_are_not("-1", "out of range, expected 0.5..1000000 seconds");
	seconds_are_not("1000000.5", "out of range, expected 0.5..1000000 seconds");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		seconds_are_not(bad[i], no_number);
}

static void one_list_alone(void **state)
{
	struct disk disk = {0};
	char reason[128];

	assert_int_equal(
		option_parse_list(disk_options, "x,size=1M", &disk, reason, sizeof(reason)), 0);
	assert_int_equal(disk.size, 1 << 20);
	assert_int_equal(
		option_parse_list(disk_options, "x,size=1X", &disk, reason, sizeof(reason)), -1);
	assert_string_equal(reason, "size: '1X' is no size, expected bytes such as 512, 64K, 2G");
}

/* All names of the table, dashes before those of the outer one, through @found. */
static void for_each_name(const struct option_spec *table, const char *dashes,
			  void (*found)(const char *text, const char *name), const char *text)
{
	char name[64];

	for (; table->name; table++) {
		if (table->kind == OPTION_HEADING) {
			found(text, table->help);
			continue;
		}
		snprintf(name, sizeof(name), "%s%s", dashes, table->name);
		found(text, name);
		if (table->kind == OPTION_LIST)
			for_each_name(table->list, "", found, text);
	}
}

static void in_help(const char *text, const char *name)
{
	if (!strstr(text, name))
		fail_msg("the help lacks %s", name);
}

static void in_man(const char *text, const char *name)
{
	char escaped[128], *end = escaped;

	for (; *name; name++) {
		if (*name == '-')
			*end++ = '\\';
		*end++ = *name;
	}
	*end = '\0';
	if (!strstr(text, escaped))
		fail_msg("the man page lacks %s", escaped);
}

static void help_agrees_with_the_table(void **state)
{
	struct outcome outcome = in_child(parse_in_child, ARGV("--help"));
	char *line, *save = NULL;

	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
	for_each_name(options, "--", in_help, outcome.out);
	in_help(outcome.out, "--print-man");
	in_help(outcome.out, "Usage: pvkit-test --socket=PATH [OPTION]...\n"
			     "       pvkit-test --other [OPTION]...\n");
	in_help(outcome.out, "\n      read-only[=on|off]");
	in_help(outcome.out, "\n  --verbose  ");
	in_help(outcome.out, "io_uring|libaio|null");
	in_help(outcome.out, " From 1 to 16.\n");
	in_help(outcome.out, " From 1M to 16G.\n");
	assert_non_null(
		strstr(outcome.out, "\nExit status:\n  0     Success.\n  1     Failure.\n"));
	for (line = strtok_r(outcome.out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		assert_true(strlen(line) < 80);
		assert_true(!*line || line[strlen(line) - 1] != ' ');
	}
}

static void version(void **state)
{
	struct outcome outcome = in_child(parse_in_child, ARGV("--version"));

	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "pvkit-test (pvkit) " PVKIT_VERSION "\n");
}

static void man_page_agrees_and_is_clean(void **state)
{
	struct outcome outcome = in_child(parse_in_child, ARGV("--print-man"));
	FILE *lint;

	assert_int_equal(outcome.status, 0);
	for_each_name(options, "--", in_man, outcome.out);
	assert_non_null(strstr(outcome.out, "OPTION]...\n.br\n\\fBpvkit\\-test\\fR \\-\\-other"));
	assert_non_null(strstr(outcome.out, "\\fBread\\-only\\fR[=on|off]\n"));
	assert_non_null(strstr(outcome.out, ".dot \\(aqquote\\(aq \\eback"));
	assert_non_null(strstr(outcome.out, "\n\\&.hidden"));
	assert_non_null(strstr(outcome.out, ".SH SEE ALSO\n\\fBpvkit\\-shim\\fR(1),\n"));
	if (system("command -v mandoc >/dev/null") != 0)
		skip();
	lint = popen("mandoc -Tlint -W warning >&2", "w");
	assert_non_null(lint);
	fputs(outcome.out, lint);
	assert_int_equal(pclose(lint), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_parsed),
		cmocka_unit_test(lists_are_parsed),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(bad_command_lines_are_refused),
		cmocka_unit_test(bad_lists_are_refused),
		cmocka_unit_test(sizes),
		cmocka_unit_test(seconds),
		cmocka_unit_test(one_list_alone),
		cmocka_unit_test(help_agrees_with_the_table),
		cmocka_unit_test(version),
		cmocka_unit_test(man_page_agrees_and_is_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
