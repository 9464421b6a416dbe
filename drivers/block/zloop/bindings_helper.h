/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of this module's own bindgen run: what the driver needs and the
 * kernel crate's bindings do not have.
 *
 * Each function that Rust code calls is named by an "@fn" line below; Kbuild
 * reads the list from here. Static inline functions get a C wrapper written
 * by bindgen; functions of helpers.c wrap macros.
 *
 * @fn bdev_dma_alignment
 * @fn bdev_nowait
 * @fn bdev_physical_block_size
 * @fn blk_mq_complete_request_direct
 * @fn blk_mq_request_completed
 * @fn blk_should_fake_timeout
 * @fn debugfs_create_dir
 * @fn debugfs_create_u64
 * @fn debugfs_remove
 * @fn fatal_signal_pending
 * @fn d_real_inode
 * @fn dget
 * @fn end_of_stack
 * @fn file_mnt_idmap
 * @fn file_ref_read
 * @fn i_size_read
 * @fn kiocb_end_write
 * @fn kiocb_start_write
 * @fn memalloc_flags_restore
 * @fn memalloc_flags_save
 * @fn mnt_idmap
 * @fn override_creds
 * @fn ratelimit_default_init
 * @fn revert_creds
 * @fn req_get_ioprio
 * @fn rlimit
 * @fn rq_list_pop
 * @fn sb_end_write
 * @fn sb_init_dio_done_wq
 * @fn sb_start_write_trylock
 * @fn start_creating_noperm
 * @fn lookup_one_positive_unlocked
 * @fn start_creating_path
 * @fn end_creating_path
 * @fn start_removing_noperm
 * @fn zloop_bio_lists_empty
 * @fn zloop_in_kblockd
 * @fn zloop_in_task
 * @fn zloop_irqs_disabled
 * @fn zloop_kiocb_start_write_trylock
 * @fn zloop_num_online_cpus
 * @fn zloop_rq_bvecs
 * @fn zloop_rq_iter_in_place
 * @fn zloop_rq_zero_from
 * @fn zloop_set_lock_classes
 * @fn zloop_synchronize_rcu_tasks
 */
#ifndef ZLOOP_BINDINGS_HELPER_H
#define ZLOOP_BINDINGS_HELPER_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/stat.h>
#include <linux/statfs.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <linux/xattr.h>

bool zloop_bio_lists_empty(const struct bio_list *lists);
bool zloop_in_kblockd(struct request_queue *q);
bool zloop_in_task(void);
bool zloop_irqs_disabled(void);
unsigned int zloop_num_online_cpus(void);
unsigned int zloop_rq_bvecs(struct request *rq, struct bio_vec *out, unsigned int max);
bool zloop_kiocb_start_write_trylock(struct kiocb *kiocb);
bool zloop_rq_iter_in_place(struct request *rq, unsigned int dir, struct iov_iter *iter);
void zloop_rq_zero_from(struct request *rq, unsigned int from);
void zloop_set_lock_classes(struct gendisk *disk);
void zloop_synchronize_rcu_tasks(void);

/* Macros and casts, which bindgen does not evaluate. */
#define ZLOOP_CONST(type, name) const type ZLOOP_CONST_##name = name

#ifdef __BINDGEN__
ZLOOP_CONST(blk_features_t, BLK_FEAT_ZONED);
ZLOOP_CONST(blk_features_t, BLK_FEAT_WRITE_CACHE);
ZLOOP_CONST(blk_features_t, BLK_FEAT_FUA);
ZLOOP_CONST(blk_status_t, BLK_STS_OK);
ZLOOP_CONST(blk_status_t, BLK_STS_NOTSUPP);
ZLOOP_CONST(blk_status_t, BLK_STS_TIMEOUT);
ZLOOP_CONST(blk_status_t, BLK_STS_IOERR);
ZLOOP_CONST(blk_status_t, BLK_STS_ZONE_OPEN_RESOURCE);
ZLOOP_CONST(int, IOCB_DIRECT);
ZLOOP_CONST(int, IOCB_DSYNC);
ZLOOP_CONST(int, IOCB_NOWAIT);
ZLOOP_CONST(int, IOCB_SYNC);
ZLOOP_CONST(int, FALLOC_FL_KEEP_SIZE);
ZLOOP_CONST(int, FS_REQUIRES_DEV);
ZLOOP_CONST(unsigned int, DCACHE_MOUNTED);
ZLOOP_CONST(int, MAY_READ);
ZLOOP_CONST(int, MAY_WRITE);
ZLOOP_CONST(fmode_t, FMODE_WRITE);
ZLOOP_CONST(fmode_t, FMODE_NOCMTIME);
ZLOOP_CONST(fmode_t, FMODE_NOWAIT);
ZLOOP_CONST(fmode_t, FMODE_CAN_ODIRECT);
ZLOOP_CONST(unsigned int, BLK_MAX_BLOCK_SIZE);
ZLOOP_CONST(unsigned int, LOOKUP_DIRECTORY);
ZLOOP_CONST(unsigned int, O_NOATIME);
ZLOOP_CONST(unsigned int, PF_BLOCK_TS);
ZLOOP_CONST(unsigned int, PF_LOCAL_THROTTLE);
ZLOOP_CONST(unsigned int, PF_MEMALLOC);
ZLOOP_CONST(unsigned int, PF_MEMALLOC_NOFS);
ZLOOP_CONST(unsigned int, PF_MEMALLOC_NOIO);
ZLOOP_CONST(blk_opf_t, REQ_FUA);
ZLOOP_CONST(req_flags_t, RQF_FLUSH_SEQ);
ZLOOP_CONST(unsigned int, RLIMIT_FSIZE);
ZLOOP_CONST(unsigned long, BTRFS_SUPER_MAGIC);
ZLOOP_CONST(unsigned long, EXT4_SUPER_MAGIC);
ZLOOP_CONST(unsigned long, TMPFS_MAGIC);
ZLOOP_CONST(unsigned long, XFS_SUPER_MAGIC);
#endif

#endif
