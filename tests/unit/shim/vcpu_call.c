// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * vCPUs that call each other out of the guest, all at once, begin and end meanwhile: each call is done
 * once, by nobody else at the same time, and nobody waits for ever.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "hypervisor-shim/vcpu.h"
#include "hypervisor-shim/vcpu_call.h"
#include "hypervisor-shim/vm.h"

#define CPUS   4
#define ROUNDS 500
#define FIRST  100 /* descriptors of this test's own imagination */

/* Of each vCPU; neither atomic nor locked, for calls on one vCPU never overlap. */
static unsigned int calls[CPUS];
static pthread_t ran_on[CPUS];
static atomic_uint busy; /* threads that have not made all their calls */
static atomic_bool stop;

int vcpu_descriptor(unsigned int number)
{
	return FIRST + (int)number;
}

static int count(int fd, const void *argument)
{
	unsigned int number = (unsigned int)fd - FIRST;

	calls[number]++;
	ran_on[number] = pthread_self();
	return (int)*(const unsigned int *)argument;
}

static void call_all(unsigned int salt)
{
	for (unsigned int i = 0; i < CPUS; i++) {
		unsigned int argument = salt * CPUS + i;

		assert_int_equal(vcpu_call(i, count, &argument), argument);
	}
}

static void on_signal(int number)
{
}

static void install_handler(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t set;

	sigaction(VCPU_SIGNAL, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, VCPU_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* The guest: nothing but a signal ends it, and one that came before does so at once. */
static void enter_guest(void)
{
	sigset_t none;

	sigemptyset(&none);
	assert_int_equal(ppoll(NULL, 0, NULL, &none), -1);
	assert_int_equal(errno, EINTR);
}

static void *busy_vcpu(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	vcpu_call_enter(number);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		vcpu_call_look();
		call_all(i);
	}
	atomic_fetch_sub(&busy, 1);
	while (!atomic_load(&stop)) {
		vcpu_call_look();
		enter_guest();
	}
	vcpu_call_leave();
	return NULL;
}

static void *sleeping_vcpu(void *argument)
{
	vcpu_call_enter((unsigned int)(uintptr_t)argument);
	while (!atomic_load(&stop)) {
		vcpu_call_look();
		enter_guest();
	}
	vcpu_call_leave();
	return NULL;
}

static int setup(void **state)
{
	install_handler();
	for (unsigned int i = 0; i < CPUS; i++)
		calls[i] = 0;
	atomic_store(&stop, false);
	return 0;
}

static void start(pthread_t *threads, void *(*function)(void *))
{
	for (uintptr_t i = 0; i < CPUS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, function, (void *)i), 0);
}

static void end(const pthread_t *threads)
{
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < CPUS; i++) {
		pthread_kill(threads[i], VCPU_SIGNAL);
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
}

static void without_threads_the_caller_does_it(void **state)
{
	call_all(7);
	for (unsigned int i = 0; i < CPUS; i++) {
		assert_int_equal(calls[i], 1);
		assert_true(pthread_equal(ran_on[i], pthread_self()));
	}
}

static void a_sleeping_guest_is_left(void **state)
{
	pthread_t threads[CPUS];
	unsigned int argument = 5;

	start(threads, sleeping_vcpu);
	/* From some time on it is done by the vCPU itself. */
	do {
		assert_int_equal(vcpu_call(2, count, &argument), 5);
	} while (!pthread_equal(ran_on[2], threads[2]));
	end(threads);
	call_all(1);
	assert_true(pthread_equal(ran_on[2], pthread_self()));
}

static void all_call_all(void **state)
{
	pthread_t threads[CPUS];

	atomic_store(&busy, CPUS);
	start(threads, busy_vcpu);
	for (unsigned int i = 0; i < ROUNDS; i++)
		call_all(i);
	while (atomic_load(&busy))
		usleep(1000);
	end(threads);
	for (unsigned int i = 0; i < CPUS; i++)
		assert_int_equal(calls[i], ROUNDS * (CPUS + 1));
}

/* As at a reset, in the midst of calls. */
static void vcpus_come_and_go(void **state)
{
	pthread_t threads[CPUS];
	unsigned int done = 0;

	for (unsigned int i = 0; i < 50; i++) {
		atomic_store(&stop, false);
		start(threads, sleeping_vcpu);
		for (unsigned int j = 0; j < i % 5; j++, done++)
			call_all(j);
		atomic_store(&stop, true);
		for (unsigned int j = 0; j < CPUS; j++)
			pthread_kill(threads[j], VCPU_SIGNAL);
		call_all(i);
		done++;
		end(threads);
	}
	for (unsigned int i = 0; i < CPUS; i++)
		assert_int_equal(calls[i], done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_threads_the_caller_does_it, setup),
		cmocka_unit_test_setup(a_sleeping_guest_is_left, setup),
		cmocka_unit_test_setup(all_call_all, setup),
		cmocka_unit_test_setup(vcpus_come_and_go, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
