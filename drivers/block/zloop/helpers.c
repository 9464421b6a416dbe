// SPDX-License-Identifier: GPL-2.0
/*
 * C side of what Rust cannot call, macros, and of what is best said with them.
 * Nothing here knows what a zone is.
 */
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/uio.h>

#include "bindings_helper.h"

/*
 * Give the locks of @disk that are held while its queue is quiesced classes of
 * their own. A disk whose queue_rq() sends I/O to another one makes that wait
 * for locks of the other one's users; with the same classes for all disks,
 * lockdep would take it for a circle as soon as the same is done to both.
 * Before the disk is added.
 */
void zloop_set_lock_classes(struct gendisk *disk)
{
	static struct lock_class_key elevator_lock, rq_qos_mutex, rqos_state_mutex, srcu;
	struct request_queue *q = disk->queue;

	lockdep_set_class(&q->elevator_lock, &elevator_lock);
	lockdep_set_class(&q->rq_qos_mutex, &rq_qos_mutex);
	lockdep_set_class(&disk->rqos_state_mutex, &rqos_state_mutex);
	if (q->tag_set->flags & BLK_MQ_F_BLOCKING)
		lockdep_set_class(q->tag_set->srcu, &srcu);
}

/* Whether nothing waits on either list of current->bio_list. */
bool zloop_bio_lists_empty(const struct bio_list *lists)
{
	return bio_list_empty(&lists[0]) && bio_list_empty(&lists[1]);
}

/* As kiocb_start_write(), but fails instead of waiting for a thaw. */
bool zloop_kiocb_start_write_trylock(struct kiocb *kiocb)
{
	struct super_block *sb = file_inode(kiocb->ki_filp)->i_sb;

	if (!sb_start_write_trylock(sb))
		return false;
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return true;
}

/* Whether this is a work item that sends requests of @q to the driver. */
bool zloop_in_kblockd(struct request_queue *q)
{
	const struct work_struct *work = current_work();
	struct blk_mq_hw_ctx *hctx;
	unsigned long i;

	if (!work)
		return false;
	if (work == &q->requeue_work.work)
		return true;
	queue_for_each_hw_ctx(q, hctx, i) {
		if (work == &hctx->run_work.work)
			return true;
	}
	return false;
}

/*
 * Whether the caller runs in a task, not in an interrupt of any kind. It may
 * still not be allowed to sleep.
 */
bool zloop_in_task(void)
{
	return in_task();
}

bool zloop_irqs_disabled(void)
{
	return irqs_disabled();
}

unsigned int zloop_num_online_cpus(void)
{
	return num_online_cpus();
}

/*
 * Without it a task that was preempted in the module cannot be waited for when
 * the module is unloaded.
 */
#if defined(MODULE) && defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "zloop as a module of a preemptible kernel needs CONFIG_TASKS_RCU (CONFIG_KPROBES, CONFIG_FTRACE or CONFIG_BPF_SYSCALL)"
#endif

void zloop_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

/*
 * Store the multi-page segments of @rq in @out, at most @max of them, and
 * return how many @rq has. Bios may begin in the middle of a bio_vec after a
 * split; rq_for_each_bvec() takes care of it.
 */
unsigned int zloop_rq_bvecs(struct request *rq, struct bio_vec *out, unsigned int max)
{
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int nr = 0;

	rq_for_each_bvec(bv, rq, iter) {
		if (nr < max)
			out[nr] = bv;
		nr++;
	}
	return nr;
}

/*
 * Set up @iter over the data of @rq in place, without copying its bio_vecs.
 * Returns false if @rq consists of several bios, which is when a copy is
 * needed.
 */
bool zloop_rq_iter_in_place(struct request *rq, unsigned int dir, struct iov_iter *iter)
{
	struct bio *bio = rq->bio;
	const struct bio_vec *bvec;
	unsigned int nr = 1;

	if (bio != rq->biotail)
		return false;
	bvec = __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
	if (mp_bvec_iter_len(bio->bi_io_vec, bio->bi_iter) < blk_rq_bytes(rq))
		nr = zloop_rq_bvecs(rq, NULL, 0);
	iov_iter_bvec(iter, dir, bvec, nr, blk_rq_bytes(rq));
	/* The name of the field with this difference depends on the kernel's version. */
	iter->iov_offset = mp_bvec_iter_offset(bio->bi_io_vec, bio->bi_iter) - bvec->bv_offset;
	return true;
}

/* Zero the data of @rq beyond its first @from bytes. */
void zloop_rq_zero_from(struct request *rq, unsigned int from)
{
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int pos = 0;

	rq_for_each_segment(bv, rq, iter) {
		if (pos + bv.bv_len > from) {
			unsigned int skip = from > pos ? from - pos : 0;

			memzero_page(bv.bv_page, bv.bv_offset + skip, bv.bv_len - skip);
		}
		pos += bv.bv_len;
	}
}
