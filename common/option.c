// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The parser of command lines.
 *
 * One function, option_set(), gives one text to one field, and is the same for a command line and
 * for a list behind an option (option_list.c): so an option means the same in both, and a reason for
 * refusal reads the same. What the parser takes is what option_help.c and option_man.c print, all
 * from the one table.
 */
#include "common/option.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/option_private.h"

int option_refuse(char *reason, size_t size, const char *value, const char *why)
{
	snprintf(reason, size, "'%s' %s", value, why);
	return -1;
}

static unsigned int option_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return UINT_MAX;
}

/*
 * Digits of @base from *text on, no sign, no blanks; moves *text behind them. -EINVAL: there is none;
 * -ERANGE: more than fits.
 */
static int option_digits(const char **text, unsigned int base, uint64_t *value)
{
	const char *start = *text;
	bool fits = true;

	for (*value = 0;; (*text)++) {
		unsigned int digit = option_digit(**text);

		if (digit >= base)
			return *text == start ? -EINVAL : fits ? 0 : -ERANGE;
		if (__builtin_mul_overflow(*value, base, value) ||
		    __builtin_add_overflow(*value, digit, value))
			fits = false;
	}
}

static int option_number(const char *text, uint64_t *value)
{
	unsigned int base = 10;
	int result;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	result = option_digits(&text, base, value);
	return *text ? -EINVAL : result;
}

int option_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned int shift;
	int result = option_digits(&text, 10, bytes);

	if (result == -EINVAL || !*text)
		return result;
	suffix = strchr(suffixes, *text & ~0x20); /* either case */
	if (!suffix || !*suffix || text[1])
		return -EINVAL;
	shift = 10 * (suffix - suffixes + 1);
	if (result || *bytes > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

int option_seconds(const char *text, double minimum, double maximum, double *seconds, char *reason,
		   size_t reason_size)
{
	char *end;
	double value = strtod(text, &end);

	/* Of all that strtod() takes, digits with a point. */
	if (*end || end == text || strspn(text, "-.0123456789") != strlen(text))
		return option_refuse(reason, reason_size, text,
				     "is no number of seconds, expected such as 5 or 0.5");
	if (!(value >= minimum && value <= maximum)) {
		snprintf(reason, reason_size, "'%s' is out of range, expected %.9g..%.9g seconds",
			 text, minimum, maximum);
		return -1;
	}
	*seconds = value;
	return 0;
}

static void option_format(const struct option_spec *spec, uint64_t value, char *text, size_t size)
{
	static const char suffixes[] = "TGMK";
	unsigned int i;

	for (i = 0; spec->kind == OPTION_SIZE && value && i < 4; i++) {
		unsigned int shift = 40 - 10 * i;

		if (value % (1ULL << shift) == 0) {
			snprintf(text, size, "%llu%c", (unsigned long long)value >> shift,
				 suffixes[i]);
			return;
		}
	}
	snprintf(text, size, "%llu", (unsigned long long)value);
}

const char *option_text(const struct option_spec *spec, char *text, size_t size)
{
	const char *help = spec->help ? spec->help : "";
	char minimum[24], maximum[24];

	/* INT_MAX is the limit of a type, and tells nobody anything. */
	if ((spec->kind != OPTION_NUMBER && spec->kind != OPTION_SIZE) || !spec->maximum ||
	    spec->maximum == INT_MAX)
		return help;
	option_format(spec, spec->minimum, minimum, sizeof(minimum));
	option_format(spec, spec->maximum, maximum, sizeof(maximum));
	snprintf(text, size, "%s%sFrom %s to %s.", help, *help ? " " : "", minimum, maximum);
	return text;
}

static int option_out_of_range(const struct option_spec *spec, const char *text, bool too_small,
			       char *reason, size_t size)
{
	char minimum[24], maximum[24];

	option_format(spec, spec->minimum, minimum, sizeof(minimum));
	if (too_small && !spec->maximum) {
		snprintf(reason, size, "'%s' is out of range, expected %s or more", text, minimum);
		return -1;
	}
	option_format(spec, spec->maximum ?: UINT64_MAX, maximum, sizeof(maximum));
	snprintf(reason, size, "'%s' is out of range, expected %s..%s", text, minimum, maximum);
	return -1;
}

static int option_set_number(const struct option_spec *spec, void *field, const char *text,
			     char *reason, size_t size)
{
	uint64_t value;
	int result = spec->kind == OPTION_SIZE ? option_size(text, &value) :
						 option_number(text, &value);

	if (result == -EINVAL)
		return option_refuse(reason, size, text,
				     spec->kind == OPTION_SIZE
					     ? "is no size, expected bytes such as 512, 64K, 2G"
					     : "is no number, expected decimal or 0x digits");
	if (result || value < spec->minimum || (spec->maximum && value > spec->maximum))
		return option_out_of_range(spec, text, !result && value < spec->minimum, reason,
					   size);
	*(uint64_t *)field = value;
	return 0;
}

static int option_set_string(const struct option_spec *spec, void *field, const char *text,
			     char *reason, size_t size)
{
	size_t length = strlen(text);

	if (length < spec->minimum)
		return option_refuse(reason, size, text, length ? "is too short" : "is empty");
	if (spec->maximum && length > spec->maximum) {
		snprintf(reason, size, "'%s' is too long, expected at most %llu characters", text,
			 (unsigned long long)spec->maximum);
		return -1;
	}
	*(const char **)field = text;
	return 0;
}

static int option_set_choice(const struct option_spec *spec, void *field, const char *text,
			     char *reason, size_t size)
{
	char choices[256];
	unsigned int i;

	for (i = 0; spec->choices[i]; i++) {
		if (!strcmp(text, spec->choices[i])) {
			*(unsigned int *)field = i;
			return 0;
		}
	}
	option_join_choices(spec, choices, sizeof(choices));
	snprintf(reason, size, "'%s' is unknown, expected %s", text, choices);
	return -1;
}

static int option_set_flag(void *field, const char *text, char *reason, size_t size)
{
	bool on = !text || !strcmp(text, "on");

	if (!on && strcmp(text, "off"))
		return option_refuse(reason, size, text, "is unknown, expected on or off");
	*(bool *)field = on;
	return 0;
}

int option_set(const struct option_spec *spec, void *config, const char *text, char *reason,
	       size_t size)
{
	void *field = (char *)config + spec->offset;

	if (!text && spec->kind != OPTION_FLAG) {
		snprintf(reason, size, "a value is missing");
		return -1;
	}
	switch (spec->kind) {
	case OPTION_FLAG:
		return option_set_flag(field, text, reason, size);
	case OPTION_STRING:
		return option_set_string(spec, field, text, reason, size);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return option_set_number(spec, field, text, reason, size);
	case OPTION_CHOICE:
		return option_set_choice(spec, field, text, reason, size);
	case OPTION_LIST:
		return option_append(spec, config, text, reason, size);
	case OPTION_CALL:
		return spec->call(config, text, reason, size);
	case OPTION_HEADING:
		break;
	}
	return -1;
}

const struct option_spec *option_find(const struct option_spec *table, const char *name,
				      size_t length)
{
	for (; table->name; table++)
		if (table->kind != OPTION_HEADING && strlen(table->name) == length &&
		    !memcmp(table->name, name, length))
			return table;
	return NULL;
}

unsigned int option_count(const struct option_spec *table)
{
	unsigned int count = 0;

	while (table[count].name)
		count++;
	return count;
}

const struct option_spec *option_missing(const struct option_spec *table, const bool *seen)
{
	unsigned int i;

	for (i = 0; table[i].name; i++)
		if (table[i].required && table[i].kind != OPTION_HEADING && !seen[i])
			return &table[i];
	return NULL;
}

static void __attribute__((noreturn, format(printf, 2, 3)))
option_bad(const struct program_spec *program, const char *format, ...)
{
	char message[768];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_error("%s; see %s --help", message, program->name);
	exit(2);
}

/* What every program answers by itself. */
static void option_answer(const struct program_spec *program, const char *argument)
{
	if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
		option_print_help(program);
	else if (!strcmp(argument, "--print-man"))
		option_print_man(program);
	else if (!strcmp(argument, "--version"))
		printf("%s (pvkit) %s\n", program->name, PVKIT_VERSION);
	else
		return;
	if (fflush(stdout) || ferror(stdout))
		die_errno("standard output");
	exit(0);
}

/* Takes the option at argv[0], and argv[1] when that is its value: how many arguments it took. */
static int option_take(const struct program_spec *program, char **argv, void *config, bool *seen)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '='), *value = NULL;
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec;
	char reason[512];
	int taken = 1;

	spec = option_find(program->options, name, length);
	if (!spec)
		option_bad(program, "--%.*s: unknown option", (int)length, name);
	if (seen[spec - program->options] && spec->kind != OPTION_LIST)
		option_bad(program, "--%s: given twice", spec->name);
	seen[spec - program->options] = true;

	if (equals) {
		value = equals + 1;
		if (spec->kind == OPTION_FLAG)
			option_bad(program, "--%s: takes no value, but '%s' was given", spec->name,
				   value);
	} else if (spec->kind != OPTION_FLAG && argv[1]) {
		value = argv[1];
		taken = 2;
	}
	if (option_set(spec, config, value, reason, sizeof(reason)) < 0)
		option_bad(program, "--%s: %s", spec->name, reason);
	return taken;
}

void option_parse(const struct program_spec *program, int argc, char **argv, void *config)
{
	bool *seen = calloc(option_count(program->options) + 1, sizeof(*seen));
	const struct option_spec *missing;
	int i;

	log_open(program->name, false);
	if (!seen)
		die_errno("no memory for the command line");
	for (i = 1; i < argc;) {
		option_answer(program, argv[i]);
		if (strncmp(argv[i], "--", 2) || !argv[i][2])
			option_bad(program, "'%s' is no option", argv[i]);
		i += option_take(program, argv + i, config, seen);
	}
	missing = option_missing(program->options, seen);
	if (missing)
		option_bad(program, "--%s is required", missing->name);
	free(seen);
}
