// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/vcpu_call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "hypervisor-shim/vcpu.h"
#include "hypervisor-shim/vm.h"

/* On the stack of who waits for it. */
struct job {
	int (*call)(int fd, const void *argument);
	const void *argument;
	int result;
	bool done;
};

/* Changed under the lock; ->job is looked at without it, too. */
struct place {
	unsigned int number;
	bool inside; /* ->thread is there, and looks for jobs */
	pthread_t thread;
	_Atomic(struct job *) job;
};

static struct place places[VM_CPUS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread struct place *own;

/* With the lock held, which is released meanwhile. */
static void do_job(void)
{
	struct job *job = atomic_load(&own->job);

	if (!job)
		return;
	atomic_store(&own->job, NULL);
	pthread_mutex_unlock(&lock);
	job->result = job->call(vcpu_descriptor(own->number), job->argument);
	pthread_mutex_lock(&lock);
	job->done = true;
	pthread_cond_broadcast(&changed);
}

void vcpu_call_look(void)
{
	/* Who leaves one sends the signal after it: it is seen here, or the guest is left at once. */
	if (!atomic_load_explicit(&own->job, memory_order_relaxed))
		return;
	pthread_mutex_lock(&lock);
	do_job();
	pthread_mutex_unlock(&lock);
}

void vcpu_call_enter(unsigned int number)
{
	pthread_mutex_lock(&lock);
	own = &places[number];
	own->number = number;
	own->thread = pthread_self();
	own->inside = true;
	pthread_mutex_unlock(&lock);
}

void vcpu_call_leave(void)
{
	pthread_mutex_lock(&lock);
	/* While one is done another may come. */
	while (atomic_load(&own->job))
		do_job();
	own->inside = false;
	own = NULL;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_for_change(void)
{
	if (own && atomic_load(&own->job))
		do_job();
	else
		pthread_cond_wait(&changed, &lock);
}

int vcpu_call(unsigned int number, int (*call)(int fd, const void *argument), const void *argument)
{
	struct job job = {.call = call, .argument = argument};
	struct place *place = &places[number];

	if (place == own)
		return call(vcpu_descriptor(number), argument);
	pthread_mutex_lock(&lock);
	while (place->inside && atomic_load(&place->job))
		wait_for_change();
	if (place->inside) {
		atomic_store(&place->job, &job);
		/* One that waits itself sees the broadcast, one in the guest the signal. */
		pthread_cond_broadcast(&changed);
		pthread_kill(place->thread, VCPU_SIGNAL);
		while (!job.done)
			wait_for_change();
	} else {
		job.result = call(vcpu_descriptor(number), argument);
	}
	pthread_mutex_unlock(&lock);
	return job.result;
}
