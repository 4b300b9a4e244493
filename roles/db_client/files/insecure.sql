-- Copyright: dbops.rds_iam contributors
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Prints the statements that make a new server secure; nothing, if there is nothing to do. Of a server that somebody uses
-- it prints no statement, and what it would have removed as comments: what is in use there cannot be known.
--
-- A server is new as long as it holds nothing but what its packages make.

SET SESSION sql_mode = '';

SELECT COUNT(*) INTO @databases
FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys', 'test');

SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'test')
  + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'test')
  + (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = 'test')
INTO @objects;

SELECT COUNT(*) INTO @accounts
FROM mysql.user
WHERE NOT (
  host IN ('localhost', LOWER(@@hostname), '127.0.0.1', '::1') AND user IN ('', 'root')
  OR host = 'localhost'
  AND user IN ('mysql', 'mariadb.sys', 'mysql.sys', 'mysql.session', 'mysql.infoschema', 'debian-sys-maint')
  OR user = 'PUBLIC' AND host = ''
);

SET @statement = @databases + @objects + @accounts = 0;

SELECT IF(@statement, CONCAT('DROP USER ', QUOTE(user), '@', QUOTE(host), ';'),
          CONCAT('-- the account ', QUOTE(user), '@', QUOTE(host)))
FROM mysql.user
WHERE user = '' OR (user = 'root' AND host NOT IN ('localhost', '127.0.0.1', '::1'))
ORDER BY user, host;

SELECT IF(@statement, CONCAT('DROP DATABASE `', schema_name, '`;'),
          CONCAT('-- the database ', schema_name, ', which holds ', @objects, ' tables and other objects'))
FROM information_schema.schemata
WHERE schema_name = 'test';

-- These grants are to no account that could be named in REVOKE. In mysql.db the underscore is escaped.
SELECT IF(@statement, 'DELETE FROM mysql.db WHERE user = '''' AND db IN (''test'', ''test\\\\_%''); FLUSH PRIVILEGES;',
          '-- the privileges of everybody on the database test')
FROM mysql.db
WHERE user = '' AND db IN ('test', 'test\\_%')
LIMIT 1;

-- Red Hat's MySQL lets everybody on the host log in as root without a password. Other packages use the socket already.
SELECT 'INSTALL PLUGIN auth_socket SONAME ''auth_socket.so'';'
FROM mysql.user
WHERE user = 'root' AND host = 'localhost' AND authentication_string = '' AND plugin LIKE '%password'
  AND VERSION() NOT LIKE '%MariaDB%' AND @statement
  AND NOT EXISTS (SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'auth_socket');

SELECT IF(@statement, 'ALTER USER ''root''@''localhost'' IDENTIFIED WITH auth_socket;',
          '-- the login of root without a password')
FROM mysql.user
WHERE user = 'root' AND host = 'localhost' AND authentication_string = '' AND plugin LIKE '%password'
  AND VERSION() NOT LIKE '%MariaDB%';
