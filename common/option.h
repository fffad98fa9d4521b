/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Options: one table makes the parser, the help text and the man page, so that they agree.
 *
 * The same table form parses a command line ("--cpus 2", "--cpus=2") and a comma-separated list
 * behind an option ("path=a.img,bus=virtio"): an option of the kind OPTION_LIST holds a sub-table.
 * Values go straight into the fields of a caller's struct, by offset. A bad value is one line on
 * standard error that names the option, the value, what was expected and "see --help"; exit 2.
 */
#ifndef PVKIT_COMMON_OPTION_H
#define PVKIT_COMMON_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,   /* bool; takes no value, or in a list "name", "name=on", "name=off" */
	OPTION_STRING, /* const char *; points into argv or into memory that lives for ever */
	OPTION_NUMBER, /* uint64_t, decimal or 0x; minimum..maximum */
	OPTION_SIZE,   /* uint64_t in bytes: K, M, G, T suffixes (powers of 1024) */
	OPTION_CHOICE, /* unsigned int: index into ->choices */
	OPTION_LIST,   /* a struct of ->list_size at offset, repeated up to ->list_max: see below */
	OPTION_CALL,   /* ->call() parses the value itself */
	OPTION_HEADING, /* no option: ->help heads the group that follows */
};

struct option_spec {
	const char *name; /* without dashes; NULL ends the table */
	enum option_kind kind;
	size_t offset;	      /* of the field in the caller's struct */
	const char *argument; /* how the help names the value: "PATH", "N", "io_uring|libaio" */
	const char *help;     /* one or two sentences; the default value is named in it */
	uint64_t minimum, maximum;   /* NUMBER, SIZE, length of a STRING; maximum 0: none */
	const char *const *choices;  /* CHOICE: NULL-terminated */
	bool required;

	/*
	 * LIST: the sub-table; its fields lie in a struct of list_size bytes. offset is that of an
	 * array of list_max such structs, count_offset that of an unsigned int that counts them.
	 * A value without '=' in first place sets the sub-table's first entry ("--disk a.img").
	 */
	const struct option_spec *list;
	size_t list_size, count_offset;
	unsigned int list_max;

	/* CALL: 0, or -1 with one line of reason in @reason. */
	int (*call)(void *config, const char *value, char *reason, size_t reason_size);
};

struct program_spec {
	const char *name;      /* "pvkit-blkd" */
	const char *summary;   /* one line, for NAME in the man page */
	const char *usage;     /* what follows the name in the first lines of the help; a line a form */
	const char *description; /* man page: paragraphs, separated by a blank line */
	const char *examples;  /* man page and help: lines shown as they are */
	const char *exit_status; /* lines "N<tab>meaning" */
	const struct option_spec *options;
};

/*
 * Parses the command line into @config, which the caller has filled with defaults. --help, --version
 * and --print-man are answered here, and exit 0; a bad command line is reported and exits 2.
 * Positional arguments are refused. Repeating an option that is no list is an error.
 */
void option_parse(const struct program_spec *program, int argc, char **argv, void *config);

/* Parses one "key=value,key=value" text into one struct. 0, or -1 with a line in @reason. */
int option_parse_list(const struct option_spec *list, const char *text, void *config, char *reason,
		      size_t reason_size);

void option_print_help(const struct program_spec *program);
void option_print_man(const struct program_spec *program); /* man(7) source on standard output */

/* "64M" → bytes. 0; -EINVAL: it is no size; -ERANGE: it does not fit. */
int option_size(const char *text, uint64_t *bytes);

/* "0.5" → seconds, for an OPTION_CALL: 0, or -1 with a line in @reason. */
int option_seconds(const char *text, double minimum, double maximum, double *seconds, char *reason,
		   size_t reason_size);

#endif
