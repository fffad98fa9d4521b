/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * As much of the Linux kernel as the queues of the guest's drivers stand on, for userspace. User-mode
 * Linux has one CPU; here submitters, interrupts, timeouts and the teardown are threads, and the thread
 * sanitizer judges whether the drivers' own locks order what these share.
 *
 * So nothing here orders more than the kernel's own does. Locks lock, bit operations and READ_ONCE() are
 * C11's atomics, relaxed where the kernel's promise no order. Grants, doorbells and interrupts are
 * relaxed too, which is less than the real ones: between the two sides of a ring it is the ring that
 * orders. A page that is freed is written over, so whoever still uses it is a race.
 *
 * Every <linux/...> that the drivers name is this file, but blk-mq.h and netdevice.h, which have fakes of
 * their own. Behind it are fake/kernel.c (works, pages) and fake/pvkit.c (the bus's services).
 */
#ifndef PVKIT_TESTS_UNIT_KERNEL_KERNEL_H
#define PVKIT_TESTS_UNIT_KERNEL_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- the language ---------------------------------------------------------------------------- */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef unsigned int gfp_t;

#define U16_MAX UINT16_MAX
#define __iomem
#define __rcu
#define __printf(a, b)                      __attribute__((format(printf, a, b)))
#define ____cacheline_aligned_in_smp        __attribute__((aligned(64)))
#define fallthrough                         __attribute__((fallthrough))
#define likely(x)                           __builtin_expect(!!(x), 1)
#define unlikely(x)                         __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)                       (sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)                  (((n) + (d)-1) / (d))
#define min(a, b)                           ((a) < (b) ? (a) : (b))
#define max(a, b)                           ((a) > (b) ? (a) : (b))
#define min_t(type, a, b)                   min((type)(a), (type)(b))
#define clamp(x, low, high)                 min(max(x, low), high)
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
/* No driver does what it warns of. */
#define WARN_ON_ONCE(x)         ((x) ? (abort(), true) : false)
#define IS_ERR(pointer)         ((unsigned long)(pointer) >= (unsigned long)-4095)
#define PTR_ERR(pointer)        ((long)(pointer))
#define ERR_PTR(error)          ((void *)(long)(error))
#define KERNEL_VERSION(a, b, c) ((a) << 16 | (b) << 8 | (c))
#define LINUX_VERSION_CODE      KERNEL_VERSION(6, 12, 0)
#define static_assert _Static_assert
#define vscnprintf        __builtin_vsnprintf
#define snprintf          __builtin_snprintf
#define num_online_cpus() 2U

/* ---- memory order ---------------------------------------------------------------------------- */

#define READ_ONCE(x)         __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELAXED)

static inline bool test_bit(int bit, const unsigned long *word)
{
	return READ_ONCE(*word) >> bit & 1;
}

static inline void set_bit(int bit, unsigned long *word)
{
	__atomic_fetch_or(word, 1UL << bit, __ATOMIC_RELAXED);
}

static inline void clear_bit(int bit, unsigned long *word)
{
	__atomic_fetch_and(word, ~(1UL << bit), __ATOMIC_RELAXED);
}

/* Those that answer are full barriers. */
static inline bool test_and_set_bit(int bit, unsigned long *word)
{
	return __atomic_fetch_or(word, 1UL << bit, __ATOMIC_SEQ_CST) >> bit & 1;
}

static inline bool test_and_clear_bit(int bit, unsigned long *word)
{
	return __atomic_fetch_and(word, ~(1UL << bit), __ATOMIC_SEQ_CST) >> bit & 1;
}

typedef struct {
	long value;
} atomic_long_t;

static inline void atomic_long_inc(atomic_long_t *counter)
{
	__atomic_fetch_add(&counter->value, 1, __ATOMIC_RELAXED);
}

/* ---- locks ----------------------------------------------------------------------------------- */

typedef struct {
	pthread_mutex_t lock;
} spinlock_t;

struct mutex {
	pthread_mutex_t lock;
};

#define spin_lock_init(l)                ((void)pthread_mutex_init(&(l)->lock, NULL))
#define spin_lock_irq(l)                 ((void)pthread_mutex_lock(&(l)->lock))
#define spin_unlock_irq(l)               ((void)pthread_mutex_unlock(&(l)->lock))
#define spin_lock_bh(l) spin_lock_irq(l)
#define spin_unlock_bh(l) spin_unlock_irq(l)
#define spin_lock_irqsave(l, flags)      ((flags) = 0, spin_lock_irq(l))
#define spin_unlock_irqrestore(l, flags) ((void)(flags), spin_unlock_irq(l))
#define mutex_init(m)                    ((void)pthread_mutex_init(&(m)->lock, NULL))
#define mutex_lock(m)                    ((void)pthread_mutex_lock(&(m)->lock))
#define mutex_unlock(m)                  ((void)pthread_mutex_unlock(&(m)->lock))

struct kref {
	int count;
};

static inline void kref_init(struct kref *references)
{
	references->count = 1;
}

static inline void kref_put(struct kref *references, void (*release)(struct kref *))
{
	if (__atomic_sub_fetch(&references->count, 1, __ATOMIC_ACQ_REL) == 0)
		release(references);
}

/* ---- time and works -------------------------------------------------------------------------- */

#define HZ                  1000
#define NSEC_PER_USEC       1000
#define jiffies             fake_jiffies()
#define time_after(a, b)    ((long)((b) - (a)) < 0)
#define jiffies_to_msecs(j) (j)

unsigned long fake_jiffies(void);
void usleep_range(unsigned long least, unsigned long most);

struct work_struct {
	void (*function)(struct work_struct *work);
	struct work_struct *next; /* that waits too */
	unsigned long due;
	bool pending;
};

struct delayed_work {
	struct work_struct work;
};

/* All works share one thread. */
struct workqueue_struct;

#define INIT_WORK(w, f)                 ((w)->function = (f))
#define INIT_DELAYED_WORK(w, f)         INIT_WORK(&(w)->work, f)
#define to_delayed_work(w)              container_of(w, struct delayed_work, work)
#define queue_work(q, w)                fake_queue_work(w, 0, false)
#define queue_delayed_work(q, w, delay) fake_queue_work(&(w)->work, delay, false)
#define mod_delayed_work(q, w, delay)   fake_queue_work(&(w)->work, delay, true)
#define schedule_work(w)                fake_queue_work(w, 0, false)
#define cancel_delayed_work_sync(w)     cancel_work_sync(&(w)->work)

bool fake_queue_work(struct work_struct *work, unsigned long delay, bool again);
bool cancel_work_sync(struct work_struct *work);

/* Timers too: they run beside what runs on other CPUs, and deleting waits for them. */
struct timer_list {
	struct work_struct work;
	void (*function)(struct timer_list *timer);
};

void fake_timer_work(struct work_struct *work);

static inline void timer_setup(struct timer_list *timer, void (*function)(struct timer_list *),
			       unsigned int flags)
{
	timer->function = function;
	INIT_WORK(&timer->work, fake_timer_work);
}

static inline void mod_timer(struct timer_list *timer, unsigned long expires)
{
	fake_queue_work(&timer->work, expires - jiffies, true);
}

static inline void timer_delete_sync(struct timer_list *timer)
{
	cancel_work_sync(&timer->work);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define PAGE_SHIFT   12
#define PAGE_SIZE    4096U
#define GFP_KERNEL   0
#define GFP_ATOMIC   0
#define __GFP_NOWARN 0
#define __GFP_ZERO   0 /* all are zeroed */

#define kzalloc(size, gfp)              calloc(1, size)
#define kcalloc(count, size, gfp)       calloc(count, size)
#define kmalloc_array(count, size, gfp) calloc(count, size)
#define kvcalloc(count, size, gfp)      calloc(count, size)
#define kvzalloc(size, gfp)             calloc(1, size)
#define kfree(p)                        free((void *)(p))
#define kvfree(p)                       free((void *)(p))

char *kasprintf(gfp_t gfp, const char *format, ...) __printf(2, 3);

struct page {
	int references;
	struct page *next; /* that is free too */
};

struct page *fake_alloc_page(void);
void put_page(struct page *page);
void *page_address(const struct page *page);
struct page *virt_to_page(const void *address);
/* Pages that are not free. */
unsigned int fake_pages_used(void);

#define alloc_page(gfp)     fake_alloc_page()
#define __free_page(page)   put_page(page)
#define offset_in_page(p)   ((unsigned long)(p) % PAGE_SIZE)
#define clear_page(address) memset(address, 0, PAGE_SIZE)

static inline void get_page(struct page *page)
{
	__atomic_fetch_add(&page->references, 1, __ATOMIC_RELAXED);
}

static inline void memcpy_from_page(void *to, struct page *page, size_t offset, size_t bytes)
{
	memcpy(to, (char *)page_address(page) + offset, bytes);
}

static inline void memcpy_to_page(struct page *page, size_t offset, const void *from, size_t bytes)
{
	memcpy((char *)page_address(page) + offset, from, bytes);
}

/* ---- devices --------------------------------------------------------------------------------- */

typedef int irqreturn_t;
typedef irqreturn_t (*irq_handler_t)(int irq, void *context);
#define IRQ_HANDLED 1

struct device {
	void *data;
};

struct device_driver {
	const char *name;
};

struct module;
struct list_head {
	struct list_head *next, *prev;
};

#define dev_get_drvdata(d)    ((d)->data)
#define dev_set_drvdata(d, p) ((d)->data = (p))
#define dev_name(d)           "device"
/* What is said is not looked at, but evaluated. */
#define dev_warn(d, ...)             fake_say(d, __VA_ARGS__)
#define dev_info(d, ...)             fake_say(d, __VA_ARGS__)
#define dev_err(d, ...)              fake_say(d, __VA_ARGS__)
#define dev_warn_ratelimited(d, ...) fake_say(d, __VA_ARGS__)

static inline void fake_say(const void *who, const char *format, ...)
{
}

/* A doorbell. */
static inline void writel(u32 value, void *word)
{
	__atomic_store_n((u32 *)word, 1, __ATOMIC_RELAXED);
}

#endif
